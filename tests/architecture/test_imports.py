"""Imports run one way, and a library that one package needs is imported in that package alone."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "odenet"
FILES = sorted(PACKAGE.rglob("*.py"))
ORDER = [
    {"arrays", "errors", "part", "allocator", "durable", "narration"},
    {"ops"},
    {"depth"},
    {"fields"},
    {"integrators"},
    {"models"},
    {"objectives"},
    {"training"},
    {"analysis"},
    {"experiment"},
    {"instruments"},
    {"reports"},
    {"cli"},
]
BESIDE = {"data", "plotting"}
RANK = {package: rank for rank, packages in enumerate(ORDER) for package in packages}
FLOOR = ORDER[0]
DRAWING = {"instruments", "reports", "cli"}
ONE_FILE = {"orbax", "grain", "omegaconf", "safetensors"}
ONE_PACKAGE = {"typer": "cli", "matplotlib": "plotting"}
ONE_FOLDER = {"diffrax": "integrators/continuous"}
CATCH_ALLS = {"utils.py", "helpers.py", "common.py", "misc.py"}


def package_of(path):
    """The package that a file stands in: its folder, or its name beside the folders."""
    package = path.relative_to(PACKAGE).with_suffix("").parts[0]
    return "cli" if package == "__main__" else package


def modules_of(tree, path):
    """Full names of the modules that a file imports, wherever in it the import stands."""
    package = ("odenet", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


IMPORTS = {path: set(modules_of(ast.parse(path.read_text()), path)) for path in FILES}


def packages_imported(path):
    names = {name.split(".")[1] for name in IMPORTS[path] if name.startswith("odenet.")}
    return {name for name in names if name in RANK or name in BESIDE}


def runs_back(package, imported):
    """Whether the arrow from `package` to the package that it imports runs against the order."""
    if imported == package or imported in FLOOR:
        return False
    if package in ("data", "plotting"):
        return True
    if imported == "plotting":
        return package not in DRAWING
    if imported == "data":
        return RANK[package] < RANK["training"]
    return RANK[imported] >= RANK[package]


def test_every_package_has_its_place():
    packages = {package_of(path) for path in FILES} - {"__init__"}
    assert packages <= set(RANK) | BESIDE
    assert {"depth", "fields", "integrators", "models", "training", "data"} <= packages


def imports_that_run_back():
    """Every file with the packages that it must not import."""
    for path in FILES:
        package = package_of(path)
        if package != "__init__":  # the public names, lazily from every package
            for imported in sorted(packages_imported(path)):
                if runs_back(package, imported):
                    yield f"{path.relative_to(PACKAGE)} must not import {imported}"


def test_no_import_runs_back():
    assert not list(imports_that_run_back())


@pytest.mark.parametrize(
    ("package", "imported", "back"),
    [
        ("depth", "integrators", True),
        ("integrators", "depth", False),
        ("models", "data", True),
        ("training", "data", False),
        ("data", "training", True),
        ("data", "errors", False),
        ("errors", "depth", True),
        ("experiment", "reports", True),
        ("experiment", "instruments", True),
        ("instruments", "experiment", False),
        ("analysis", "plotting", True),
        ("instruments", "plotting", False),
        ("plotting", "analysis", True),
        ("cli", "experiment", False),
    ],
)
def test_rule_tells_the_directions_apart(package, imported, back):
    assert runs_back(package, imported) == back


@pytest.mark.parametrize(
    "statement",
    [
        "import odenet.cli.main",
        "from odenet.cli import main",
        "def f():\n    from odenet import cli",
        "from ..cli import main",
    ],
)
def test_every_form_of_import_is_seen(statement):
    seen = set(modules_of(ast.parse(statement), PACKAGE / "depth" / "grid.py"))
    assert any(name.startswith("odenet.cli") for name in seen)


def importers(library):
    return [path for path in FILES if any(name.split(".")[0] == library for name in IMPORTS[path])]


@pytest.mark.parametrize("library", sorted(ONE_FILE))
def test_library_is_imported_in_one_file(library):
    assert len(importers(library)) == 1, importers(library)


@pytest.mark.parametrize(("library", "package"), ONE_PACKAGE.items())
def test_library_is_imported_in_one_package(library, package):
    assert {package_of(path) for path in importers(library)} == {package}


@pytest.mark.parametrize(("library", "folder"), ONE_FOLDER.items())
def test_library_is_imported_in_one_folder(library, folder):
    assert {path.parent for path in importers(library)} == {PACKAGE / folder}


def test_no_catch_all_files():
    assert not [path for path in FILES if path.name in CATCH_ALLS]


def test_files_fit_in_the_head():
    lengths = {path.relative_to(PACKAGE): len(path.read_text().splitlines()) for path in FILES}
    assert not {path: length for path, length in lengths.items() if length > 300}
