"""Instruments: each one file with options, measurement, table, sentences and figure.

The names below are imported when they are first used, so that a help page does not wait for jax.
"""

import importlib
from typing import Any

_HOMES = {
    "base": ("InstrumentConfig", "RunInstrument", "RunsInstrument", "normalized"),
    "every": ("Every", "measure_all"),
    "measurement": ("measure", "measure_run", "measure_runs"),
    "table": ("find", "names", "question", "run_instruments"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
