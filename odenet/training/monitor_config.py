"""The contract of a monitor: what is measured while a network trains, and how often."""

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
    """What a probe found."""

    def plain(self) -> dict[str, Any]:
        """Everything as numbers, lists and dicts."""
        ...


Probe = Callable[[Any, Any], Measurement]
"""`probe(params, statistics)` measures a network at these parameters; its first call compiles."""


@runtime_checkable
class MonitoredExperiment(Protocol):
    """What a monitor may ask of an experiment that is about to be trained."""

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
        """What the training minimises."""
        ...

    @property
    def start(self) -> TrainState:
        """The first state."""
        ...

    def network(self, params: Any, statistics: Any) -> Network:
        """The network with these parameters and batch statistics."""
        ...


class MonitorConfig(PartConfig, abc.ABC, family="monitor"):
    """A measurement that is taken before the first step of a training and every so many steps.

    Each becomes a line of the file `{kind}.jsonl` in the run directory, and the report draws them.
    """

    kind: str
    every: PositiveInt | None = None
    """Steps between two measurements; without it, as for the evaluations."""

    figure_name: ClassVar[str] = ""
    """Name of the figure in a report; without it, `{kind}_history`."""

    @abc.abstractmethod
    def build(self, experiment: MonitoredExperiment) -> Probe:
        """Make the probe.

        Raises:
            ConfigError: if the network cannot be measured so.
        """

    @classmethod
    def figure(cls, records: Sequence[Record]) -> Any:
        """The lines of the file, oldest first, as a matplotlib figure.

        None, as here, leaves it to the report, which draws every number over the steps.
        """
        del records
        return None


def monitor_file(kind: str) -> str:
    """Name of the file that a monitor writes into the run directory."""
    return f"{kind}.jsonl"
