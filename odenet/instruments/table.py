"""The table of instruments: those in the files of this package, and those from plug-ins.

The table is read from the folder of the package. Names and questions are read without importing
the files, so that a help page does not import jax. A file is imported when its instrument is used.
An instrument from a plug-in is in the table as soon as its class is defined.
"""

import ast
import importlib
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from odenet.errors import ConfigError
from odenet.part.explain import nearest
from odenet.part.family import members_of

_FRAME = {"__init__", "base", "table", "measurement", "every"}


def names() -> list[str]:
    """Names of all instruments, those from plug-ins last."""
    return [*_files(), *(name for name in _outside() if name not in _files())]


def question(name: str) -> str:
    """The question of an instrument: first line of its file's docstring (plug-in: its class's).

    Args:
        name: One of `names()`.
    """
    if name in _files():
        text = ast.get_docstring(ast.parse(_files()[name].read_text(encoding="utf-8")))
    else:
        text = _outside()[name].__doc__
    return (text or "").strip().partition("\n")[0]


def find(name: str) -> Any:
    """The instrument of a name, a subclass of `InstrumentConfig`.

    Raises:
        ConfigError: if there is none; the message names the nearest.
    """
    if name in _files():
        importlib.import_module(f"{__package__}.{_files()[name].stem}")
    for instrument in _defined():
        if instrument.instrument_name() == name:
            return instrument
    raise ConfigError(f"there is no instrument {name!r}; {nearest(name, names())}")


def run_instruments() -> dict[str, Any]:
    """All instruments that measure on one run, subclasses of `RunInstrument`, by name."""
    return {name: one for name in names() if not (one := find(name)).compares_runs}


def _outside() -> dict[str, Any]:
    return {
        one.instrument_name(): one
        for one in _defined()
        if one.__module__.rpartition(".")[0] != __package__
    }


def _defined() -> Sequence[Any]:
    """Every instrument that is already imported; imports nothing itself."""
    base = sys.modules.get(f"{__package__}.base")
    if base is None:
        return ()
    return members_of(base.InstrumentConfig)


@cache
def _files() -> dict[str, Path]:
    folder = Path(__file__).parent
    found = sorted(folder.glob("*.py"))
    return {path.stem.replace("_", "-"): path for path in found if path.stem not in _FRAME}
