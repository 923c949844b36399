"""The table of instruments: every file of this folder that holds one, and those from outside.

The table is found, not written. Names and questions are read without importing the files, so that
a help page does not wait for jax; a file is imported when its instrument is used.
"""

import ast
import importlib
import inspect
import sys
from functools import cache
from pathlib import Path

from odenet.errors import ConfigError
from odenet.instruments.base import InstrumentConfig, RunInstrument, RunsInstrument
from odenet.part.explain import nearest

_FRAME = {"__init__", "base", "table", "measure", "every"}
_outside: dict[str, type[InstrumentConfig]] = {}


def names() -> list[str]:
    """Names of all instruments, those from outside last."""
    return [*_files(), *(name for name in _outside if name not in _files())]


def question(name: str) -> str:
    """The first line of the docstring of an instrument's file, or of its class if from outside."""
    if name in _outside:
        text = _outside[name].__doc__ or sys.modules[_outside[name].__module__].__doc__
    else:
        text = ast.get_docstring(ast.parse(_files()[name].read_text(encoding="utf-8")))
    return (text or "").strip().partition("\n")[0]


def find(name: str) -> type[InstrumentConfig]:
    """The instrument of a name.

    Raises:
        ConfigError: if there is none, naming the nearest.
    """
    if name in _outside:
        return _outside[name]
    if name not in _files():
        raise ConfigError(f"there is no instrument {name!r}; {nearest(name, names())}")
    module = importlib.import_module(f"odenet.instruments.{_files()[name].stem}")
    (found,) = defined_in(vars(module), module.__name__)
    return found


def find_run_instrument(name: str) -> type[RunInstrument] | None:
    """The instrument of a name, if it measures on one run."""
    found = find(name)
    return found if issubclass(found, RunInstrument) else None


def run_instruments() -> dict[str, type[RunInstrument]]:
    """All instruments that measure on one run, by name."""
    found = ((name, find_run_instrument(name)) for name in names())
    return {name: one for name, one in found if one is not None}


def add(instrument: type[InstrumentConfig]) -> None:
    """Add an instrument from outside to the table; of the same name, it replaces an earlier one.

    Args:
        instrument: A concrete `RunInstrument` or `RunsInstrument`.

    Raises:
        ConfigError: if it is abstract, or has the name of an instrument of the package.
    """
    if inspect.isabstract(instrument) or "kind" not in instrument.model_fields:
        raise ConfigError(
            f"an instrument has a literal `kind` and the methods `measure` and `table`; "
            f"{instrument.__name__} lacks one of them"
        )
    name = instrument.instrument_name()
    if name in _files():
        raise ConfigError(f"there is an instrument {name} already; name {instrument.__name__} "
                          f"otherwise")  # fmt: skip
    _outside[name] = instrument


def defined_in(values: dict[str, object], module: str) -> list[type[InstrumentConfig]]:
    """The concrete instruments that a module defines itself.

    Args:
        values: Its names.
        module: Its own name.
    """
    return [
        value
        for value in values.values()
        if isinstance(value, type)
        and issubclass(value, (RunInstrument, RunsInstrument))
        and value.__module__ == module
        and not inspect.isabstract(value)
    ]


@cache
def _files() -> dict[str, Path]:
    folder = Path(__file__).parent
    found = sorted(folder.glob("*.py"))
    return {path.stem.replace("_", "-"): path for path in found if path.stem not in _FRAME}
