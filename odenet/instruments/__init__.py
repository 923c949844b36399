"""Instruments: each one file with options, measurement, table, sentences and figure.

Imported lazily, so that a help page does not wait for jax.
"""

from typing import TYPE_CHECKING, Any

from odenet.instruments.base import InstrumentConfig, RunInstrument, RunsInstrument
from odenet.instruments.table import add, find, names, question, run_instruments

if TYPE_CHECKING:
    from odenet.instruments.measure import measure

__all__ = [
    "InstrumentConfig",
    "RunInstrument",
    "RunsInstrument",
    "add",
    "find",
    "measure",
    "names",
    "question",
    "run_instruments",
]


def __getattr__(name: str) -> Any:
    if name != "measure":
        raise AttributeError(f"module 'odenet.instruments' has no attribute {name!r}")
    from odenet.instruments.measure import measure

    return measure
