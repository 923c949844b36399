"""Event files for TensorBoard."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from odenet.training.callbacks import Callback, Event, Info, Record


class EventFile(Callback):
    """Writes the numbers of every record as TensorBoard scalars, named `split/metric`.

    A record is one event with many values: an event for every value takes longer to hand to the
    writer's thread than a small network takes for its steps.

    Args:
        directory: Where the event files go.
        first_step: The step that the run starts from; later points of an earlier start are hidden.
    """

    when: frozenset[Event] = frozenset({"start", "log", "evaluate", "end"})

    def __init__(self, directory: Path, first_step: int):
        self.directory = directory
        self.first_step = first_step
        self._writer: Any = None

    def __call__(self, info: Info) -> None:
        """Open, write, close."""
        with _without_torch():
            from tensorboardX import SummaryWriter
            from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
        if info.event == "start":
            purge = self.first_step + 1 if self.first_step else None
            self._writer = SummaryWriter(str(self.directory), purge_step=purge)
        if self._writer is None:
            return
        for record in info.records:
            values = [Summary.Value(tag=tag, simple_value=x) for tag, x in scalars(record).items()]
            self._writer.file_writer.add_summary(Summary(value=values), record["step"])
        if info.event == "end":
            self._writer.close()


def scalars(record: Record) -> dict[str, float]:
    """The numbers of a record under their names, `split/metric`."""
    return {
        f"{record['split']}/{name}": value
        for name, value in record.items()
        if isinstance(value, (int, float)) and name != "step"
    }


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
    """Hide PyTorch from an import: tensorboardX takes it where it is installed, for two seconds."""
    if "torch" in sys.modules or "tensorboardX" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        del sys.modules["torch"]
