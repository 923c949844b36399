"""Event files for TensorBoard."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from odenet.training.callbacks import Callback, Event, Info, Record


class EventFile(Callback):
    """Writes the numbers of every record as TensorBoard scalars, named `split/metric`.

    A record is one event with many values: passing one event per value to the writer's thread
    takes longer than the training steps of a small network.

    Args:
        directory: Directory of the event files.
        first_step: The step that the run starts from; later points of an earlier start are hidden.
    """

    when: frozenset[Event] = frozenset({"start", "log", "evaluate", "end"})

    def __init__(self, directory: Path, first_step: int):
        self.directory = directory
        self.first_step = first_step
        self._writer: Any = None

    def __call__(self, info: Info) -> None:
        """Open the file, write, close."""
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
    """The numbers of a record by name, `split/metric`."""
    return {
        f"{record['split']}/{name}": value
        for name, value in record.items()
        if isinstance(value, (int, float)) and name != "step"
    }


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
    """Hide PyTorch from an import: tensorboardX imports it if installed, in two seconds."""
    if "torch" in sys.modules or "tensorboardX" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        del sys.modules["torch"]
