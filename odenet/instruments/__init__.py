"""Instruments: one file each, with options, measurement, table, sentences and figure.

The names below are imported at first use, so that a help page does not import jax.
"""

import importlib
from typing import Any

_MODULES = {
    "base": ("InstrumentConfig", "RunInstrument", "RunsInstrument", "normalized"),
    "every": ("Every", "measure_all"),
    "measurement": ("measure", "measure_run", "measure_runs"),
    "table": ("find", "names", "question", "run_instruments"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
