"""Instruments during training: one that is compiled once, as a callback."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from odenet.training.callbacks import Callback, Event, Info, MetricsFile


class Report(Protocol):
    """What an instrument found."""

    def plain(self) -> dict[str, Any]:
        """Everything as numbers, lists and dicts."""
        ...


class Monitor(Callback):
    """Measures before the first step and every so many steps.

    Every measurement is one line of a file, with the keys of what the instrument reports, `step`,
    and `split`, which is the name of the instrument. A resumed run drops the lines that it will
    write again.

    Args:
        name: Of the instrument.
        meter: The instrument: from parameters and statistics to a report.
        every: Steps between two measurements.
        path: The file.
        first_step: The step that the run starts from.
    """

    when: frozenset[Event] = frozenset({"start", "inspect", "checkpoint", "end"})

    def __init__(
        self,
        name: str,
        meter: Callable[[Any, Any], Report],
        every: int,
        path: Path,
        first_step: int,
    ):
        self._name, self._meter, self._every = name, meter, every
        # The line of step 0 is written by every start from there.
        self._file = MetricsFile(path, first_step if first_step else -1)

    def __call__(self, info: Info) -> None:
        """Measure, if it is time and the state is there to be measured, and write."""
        self._file(Info(info.event, info.step, info.num_steps))
        if info.state is None or (info.event == "start" and info.step > 0):
            return
        if info.step % self._every:
            return
        report = self._meter(info.state.params, info.state.statistics)
        record = {"step": info.step, "split": self._name} | report.plain()
        self._file(Info("log", info.step, info.num_steps, [record]))
