"""Plug-ins: files and installed packages whose configs join the families of parts.

Only plug-ins that the user names are loaded. Neither an experiment file nor a run directory can
load one. An installed package declares the module of its parts in the entry point group
`odenet.parts`. The user names the package or its entry point.
"""

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from odenet.errors import OdenetError, PluginError
from odenet.part import family

GROUP = "odenet.parts"
"""Entry point group of installed packages that define parts."""


@dataclass(frozen=True)
class Plugin:
    """A loaded file or package.

    Attributes:
        name: Name of the file, or the name by which the package was loaded.
        file: Path of the file, or of the package's main module.
        version: Version of the installed distribution, or None.
        sha256: SHA-256 of the file, or of all Python files of the package.
        parts: Family and kind of every part of the plug-in, such as `field gated`.
    """

    name: str
    file: str
    version: str | None
    sha256: str
    parts: tuple[str, ...]


_LOADED: dict[str, Plugin] = {}


def load_plugin(name: str | Path) -> Plugin:
    """Load a file or an installed package whose configs become kinds of parts.

    Every experiment may then name these kinds. A file that has changed since it was loaded is
    loaded again, and its classes replace the earlier ones.

    Args:
        name: Path of a Python file; or name of an installed package, of an entry point in the
            group `odenet.parts`, or of a module.

    Raises:
        PluginError: if there is no such file or module, its code raises an error (the message
            names file and line), it defines no part, or one of its kinds exists already.
    """
    text = str(name)
    is_file = text.endswith(".py") or isinstance(name, Path) or "/" in text
    return _load_file(Path(text)) if is_file else _load_package(text)


def loaded() -> tuple[Plugin, ...]:
    """The loaded plug-ins, in order of loading."""
    return tuple(_LOADED.values())


def installed() -> list[str]:
    """Names of the entry points of all installed packages with parts, loaded or not."""
    return sorted({point.name for point in importlib.metadata.entry_points(group=GROUP)})


@contextlib.contextmanager
def isolated() -> Iterator[None]:
    """A context that forgets, at its end, the plug-ins and parts that it loaded."""
    before = dict(_LOADED)
    try:
        with family.restored():
            yield
    finally:
        _LOADED.clear()
        _LOADED.update(before)


def _load_file(path: Path) -> Plugin:
    if not path.is_file():
        raise PluginError(
            f"there is no plug-in file {path}; give the path of a Python file, or the name of an "
            f"installed package"
        )
    path = path.resolve()
    key, digest = str(path), _sha256([path])
    if key in _LOADED and _LOADED[key].sha256 == digest:
        return _LOADED[key]
    module_name = f"odenet_plugin_{path.stem}_{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(module_name)
    with family.restored(on_error=True):
        sys.modules[module_name] = module
        family.forget(family.members_from({key}))
        try:
            with _named(path.name, {key}):
                spec.loader.exec_module(module)
            parts = _parts_of(path.name, module)
        except BaseException:
            sys.modules.pop(module_name)
            if before is not None:
                sys.modules[module_name] = before
            raise
    _LOADED[key] = Plugin(path.name, key, None, digest, parts)
    return _LOADED[key]


def _load_package(name: str) -> Plugin:
    if name in _LOADED:
        return _LOADED[name]
    points = [
        point
        for point in importlib.metadata.entry_points(group=GROUP)
        if name in (point.name, point.dist.name if point.dist else None)
    ]
    modules = [point.module for point in points] or [name]
    with family.restored(on_error=True):
        for module in modules:
            _import(name, module)
        parts = tuple(part for module in modules for part in _parts_of(name, sys.modules[module]))
    files = sorted({file for module in modules for file in _sources(sys.modules[module])})
    root = modules[0].partition(".")[0]
    distributions = importlib.metadata.packages_distributions().get(root, [])
    version = importlib.metadata.version(distributions[0]) if distributions else None
    where = str(getattr(sys.modules[root], "__file__", None) or files[0])
    _LOADED[name] = Plugin(name, where, version, _sha256(files), parts)
    return _LOADED[name]


def _import(name: str, module: str) -> None:
    root = module.partition(".")[0]
    if not root.isidentifier() or (
        root not in sys.modules and importlib.util.find_spec(root) is None
    ):
        known = installed()
        more = f"; installed packages with parts: {', '.join(known)}" if known else ""
        raise PluginError(
            f"there is no plug-in {name!r}: neither a file (its name ends in .py) nor an installed "
            f"package{more}"
        )
    with _named(name, None):
        importlib.import_module(module)


@contextlib.contextmanager
def _named(name: str, files: set[str] | None) -> Iterator[None]:
    """Turn an exception in the code of a plug-in into an error with its file and line."""
    try:
        yield
    except SyntaxError as error:
        raise PluginError(f"plug-in {error.filename}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if files is None or frame.filename in files]
        own = [frame for frame in own if "importlib" not in frame.filename] or list(frames)
        at = own[-1]
        what = str(error) if isinstance(error, OdenetError) else f"{type(error).__name__}: {error}"
        raise PluginError(f"plug-in {name}: {at.filename}, line {at.lineno}: {what}") from error


def _parts_of(name: str, module: ModuleType) -> tuple[str, ...]:
    files = {str(path) for path in _sources(module)}
    parts = family.members_from(files)
    if not parts:
        raise PluginError(
            f"plug-in {name} defines no part: no class with a literal kind that derives from a "
            f"contract, such as odenet.VectorFieldConfig"
        )
    return tuple(
        f"{family.family_name(part)} {'|'.join(map(str, family.kinds_of(part)))}" for part in parts
    )


def _sources(module: Any) -> list[Path]:
    """The Python file of a module, or all Python files of a package."""
    if not getattr(module, "__file__", None):
        return []
    own = Path(module.__file__)
    return sorted(own.parent.rglob("*.py")) if hasattr(module, "__path__") else [own]


def _sha256(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
