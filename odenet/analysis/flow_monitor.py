"""Gradient flow during training: the instrument as a callback."""

from pathlib import Path

from odenet.analysis.flow_meter import FlowMeter
from odenet.training.callbacks import Callback, Event, Info, MetricsFile


class FlowMonitor(Callback):
    """Measures the flow before the first step and whenever the state is to be looked at.

    Every measurement is one line of a file, with the keys of `FlowReport.plain`, `step`, and
    `split`, which is `gradient_flow`. A resumed run drops the lines that it will write again.

    Args:
        meter: The instrument.
        path: The file.
        first_step: The step that the run starts from.
    """

    when: frozenset[Event] = frozenset({"start", "inspect", "checkpoint", "end"})

    def __init__(self, meter: FlowMeter, path: Path, first_step: int):
        self._meter = meter
        # The line of step 0 is written by every start from there.
        self._file = MetricsFile(path, first_step if first_step else -1)

    def __call__(self, info: Info) -> None:
        """Measure, if the state is there to be measured, and write."""
        self._file(Info(info.event, info.step, info.num_steps))
        if info.state is None or (info.event == "start" and info.step > 0):
            return
        report = self._meter(info.state.params, info.state.statistics)
        record = {"step": info.step, "split": "gradient_flow"} | report.plain()
        self._file(Info("log", info.step, info.num_steps, [record]))
