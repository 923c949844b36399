"""The contract of a monitor: a measurement while a network trains, and its interval."""

import abc
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import PositiveInt

from odenet.data import Dataset
from odenet.models import Network
from odenet.objectives import Objective
from odenet.part import PartConfig
from odenet.training.callbacks import Record
from odenet.training.state import TrainState


@runtime_checkable
class Measurement(Protocol):
    """The result of a probe."""

    def plain(self) -> dict[str, Any]:
        """The result as numbers, lists and dicts."""
        ...


Probe = Callable[[Any, Any], Measurement]
"""`probe(params, statistics)` measures a network at these parameters; its first call compiles."""


@runtime_checkable
class MonitoredExperiment(Protocol):
    """The members of an experiment, before its training, that a monitor may read."""

    @property
    def config(self) -> Any:
        """The whole configuration (`odenet.ExperimentConfig`)."""
        ...

    @property
    def dataset(self) -> Dataset:
        """The data, with the normalisation of the inputs."""
        ...

    @property
    def objective(self) -> Objective:
        """The objective of the training."""
        ...

    @property
    def start(self) -> TrainState:
        """The first state."""
        ...

    def network(self, params: Any, statistics: Any) -> Network:
        """The network with these parameters and batch statistics."""
        ...


class MonitorConfig(PartConfig, abc.ABC, family="monitor"):
    """A measurement before the first step of a training and at regular steps after it.

    Each measurement is one line of the file `{kind}.jsonl` in the run directory, drawn by the
    report.
    """

    kind: str
    every: PositiveInt | None = None
    """Steps between two measurements; without it, the interval of the evaluations."""

    figure_name: ClassVar[str] = ""
    """Name of the figure in a report; without it, `{kind}_history`."""

    @abc.abstractmethod
    def build(self, experiment: MonitoredExperiment) -> Probe:
        """Make the probe.

        Raises:
            ConfigError: if this measurement cannot be made on the network.
        """

    @classmethod
    def figure(cls, records: Sequence[Record]) -> Any:
        """A matplotlib figure of the lines of the file, oldest first.

        If it returns None (the default), the report draws every number over the steps.
        """
        del records
        return None


def monitor_file(kind: str) -> str:
    """Name of the file that a monitor writes into the run directory."""
    return f"{kind}.jsonl"
