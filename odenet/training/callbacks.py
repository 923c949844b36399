"""Callbacks: code that runs beside the training at declared events."""

import abc
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO

from odenet.durable import flush, replace
from odenet.errors import RunDirectoryError
from odenet.models import Network
from odenet.training.state import TrainState

Event = Literal["start", "log", "evaluate", "inspect", "checkpoint", "end"]
"""When a callback can run: before the first step; after steps whose metrics are logged; after an
evaluation; when the state is to be inspected; after a checkpoint was handed over; after the last
step, also of a failed run."""

Record = dict[str, Any]
"""One line of metrics: `step`, `split`, numbers. Keys of values that depend on the clock or the
machine end in `_seconds` or `_bytes`. `split` is a split of the data, or `program` for the cost of
the step compiled by this start; a `program` record holds nothing else, and every start writes its
own."""


@dataclasses.dataclass(frozen=True)
class Info:
    """The argument of a callback.

    Attributes:
        event: The event that has just happened.
        step: Number of optimiser steps taken.
        num_steps: Number of steps of the whole training.
        records: The metrics that came with the event, oldest first.
        state: With `start`, `evaluate` and `inspect`, the state of the training. A callback reads
            it at once and does not keep it: the next step reuses its memory.
        build: Makes the network of a state, or None.
    """

    event: Event
    step: int
    num_steps: int
    records: Sequence[Record] = ()
    state: TrainState | None = None
    build: Callable[[TrainState], Network] | None = None

    @property
    def network(self) -> Network | None:
        """The network in its present state, for normalised inputs, or None; it is not kept."""
        known = self.state is not None and self.build is not None
        return self.build(self.state) if known else None  # pyright: ignore


class StopTraining(Exception):  # noqa: N818 - a callback asks for it
    """Raised by a callback: the training saves and stops after this dispatch, resumable."""


class Callback(abc.ABC):
    """Something that runs at the events in `when`, in the order of the list of callbacks.

    It stops the training by raising `StopTraining("why")`. Any other exception ends the run at
    once.
    """

    when: frozenset[Event]

    @abc.abstractmethod
    def __call__(self, info: Info) -> None:
        """Run, after one of the events in `when`."""


class MetricsFile(Callback):
    """Appends one JSON object per record to a file; a resumed run continues the file.

    Args:
        path: The file; lines after `first_step` are dropped, since the run writes them again.
        first_step: The step that the run starts from.
    """

    when: frozenset[Event] = frozenset({"start", "log", "evaluate", "checkpoint", "end"})

    def __init__(self, path: Path, first_step: int):
        self.path = path
        self.first_step = first_step
        self._file: TextIO | None = None

    def __call__(self, info: Info) -> None:
        """Open the file, write and flush, close."""
        if info.event == "start":
            keep = [r for r in read_metrics(self.path) if r["step"] <= self.first_step]
            partial = self.path.with_suffix(".partial")
            partial.write_text("".join(json.dumps(record) + "\n" for record in keep))
            replace(partial, self.path)
            self._file = self.path.open("a")
        if self._file is not None:
            lines = "".join(json.dumps(record, allow_nan=False) + "\n" for record in info.records)
            self._file.write(lines)
            self._file.flush()
            if info.event == "checkpoint":
                # Metrics up to a checkpoint must be as durable as the checkpoint.
                flush(self._file.fileno(), self.path)
            if info.event == "end":
                self._file.close()


def read_metrics(path: Path) -> list[Record]:
    """The records of a metrics file; a last line cut off by a kill is skipped."""
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(path.read_text(errors="replace").split("\n")[:-1], start=1):
        try:
            records.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise RunDirectoryError(
                f"{path}, line {number} is damaged; remove this line and later ones that belong to "
                f"steps after the last checkpoint, then resume"
            ) from error
    return records
