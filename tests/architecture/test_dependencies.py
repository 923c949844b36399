"""Every dependency is declared once, with a lower and an upper bound that were tested."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPENDENCIES = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {
    extra: [Requirement(line) for line in lines]
    for extra, lines in PROJECT["optional-dependencies"].items()
}
REQUIRED = DEPENDENCIES + [one for requirements in EXTRAS.values() for one in requirements]
UNTESTED = {canonicalize_name(one.name) for one in EXTRAS["docs"]}
"""Nothing builds with them yet."""
IMPORTED_AS = {"orbax": "orbax-checkpoint", "sklearn": "scikit-learn", "yaml": "pyyaml"}
OF_ANOTHER = {"pydantic_core": "pydantic"}
"""Released with the other, which demands one version of it."""
NOT_IMPORTED = {"equinox"}
"""Of diffrax: bounded here since its next versions break."""


def pinned(file):
    lines = (ROOT / file).read_text().splitlines()
    pairs = [line.split("==") for line in lines if re.match(r"[\w.-]+==", line)]
    return {canonicalize_name(name): version for name, version in pairs}


def third_party():
    for path in sorted((ROOT / "odenet").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0]


def test_each_is_declared_once():
    names = [canonicalize_name(one.name) for one in DEPENDENCIES]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("required", REQUIRED, ids=str)
def test_it_has_both_bounds(required):
    assert {bound.operator for bound in required.specifier} == {">=", "<"}


@pytest.mark.parametrize(
    ("file", "extras"),
    [("constraints.txt", {"test", "bench"}), ("constraints-newest.txt", {"test"})],
)
def test_versions_tested_together_lie_between_the_bounds(file, extras):
    versions = pinned(file)
    wanted = DEPENDENCIES + [one for extra in extras for one in EXTRAS[extra]]
    missing = {canonicalize_name(one.name) for one in wanted} - set(versions) - UNTESTED
    assert not missing
    outside = [one for one in wanted if versions[canonicalize_name(one.name)] not in one.specifier]
    assert not outside


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    known = set(sys.stdlib_module_names) | {"odenet"}
    imported = {OF_ANOTHER.get(name, name) for name in set(third_party()) - known}
    imported = {canonicalize_name(IMPORTED_AS.get(name, name)) for name in imported}
    declared = {canonicalize_name(one.name) for one in DEPENDENCIES}
    assert imported == declared - NOT_IMPORTED
