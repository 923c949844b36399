"""A probe during training: a callback that is compiled once."""

from pathlib import Path

from odenet.training.callbacks import Callback, Event, Info, MetricsFile
from odenet.training.monitor_config import Probe


class Monitor(Callback):
    """Measures before the first step and at regular steps after it.

    Every measurement is one line of a file, with the keys of the measurement, `step`, and
    `split`, which is the name of the monitor. A resumed run drops the lines that it writes
    again.

    Args:
        name: Name of the monitor.
        probe: The measurement.
        every: Steps between two measurements.
        path: The file.
        first_step: The step that the run starts from.
    """

    when: frozenset[Event] = frozenset({"start", "inspect", "checkpoint", "end"})

    def __init__(
        self,
        name: str,
        probe: Probe,
        every: int,
        path: Path,
        first_step: int,
    ):
        self._name, self._probe, self._every = name, probe, every
        # Every start from step 0 writes the line of step 0.
        self._file = MetricsFile(path, first_step if first_step else -1)

    def __call__(self, info: Info) -> None:
        """Measure and write, if a measurement is due and the event carries the state."""
        self._file(Info(info.event, info.step, info.num_steps))
        if info.state is None or (info.event == "start" and info.step > 0):
            return
        if info.step % self._every:
            return
        found = self._probe(info.state.params, info.state.statistics)
        record = {"step": info.step, "split": self._name} | found.plain()
        self._file(Info("log", info.step, info.num_steps, [record]))
