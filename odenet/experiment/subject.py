"""What an instrument looks at: a network from its run directory, at a moment of its training."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from odenet.analysis.flow_probe import evenly_chosen
from odenet.arrays import Array
from odenet.data import Split, normalize
from odenet.errors import ConfigError
from odenet.experiment.build import Experiment
from odenet.experiment.config import Overrides
from odenet.experiment.directory import RUN, RunDirectory, full_disk_named, read_json
from odenet.experiment.evaluate import load_trained
from odenet.experiment.held_network import changed_at
from odenet.models import Network
from odenet.training import TrainState
from odenet.training.checkpoint import Which

Moment = Which | Literal["start"]
"""Which parameters: the last or the best checkpoint, or those that the training started from."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """A network to look at, the examples to look with, and where to write what was found.

    Attributes:
        directory: The run directory.
        experiment: What the network was built from, overrides applied.
        state: Its parameters and statistics.
        step: After how many optimiser steps.
        moment: Which parameters these are.
        split: Name of the split that the examples come from.
    """

    directory: Path
    experiment: Experiment
    state: TrainState
    step: int
    moment: Moment
    split: str

    @property
    def network(self) -> Network:
        """The network, for normalised inputs."""
        return self.experiment.network(self.state.params, self.state.statistics)

    def examples(self, number: int) -> Split:
        """`number` examples spread evenly over the split, as they are stored; all, if fewer.

        Raises:
            ConfigError: if `number` is less than 1.
        """
        return evenly_chosen(self.experiment.split(self.split), number)

    def normalized(self, examples: Split) -> Array:
        """The inputs of examples as the network takes them."""
        return normalize(examples.inputs, self.experiment.dataset.normalization)

    def write(self, instrument: str, found: Mapping[str, Any]) -> dict[str, Any]:
        """Write what an instrument found into the run directory, and give it back.

        Args:
            instrument: Its name as a command, such as `gradient-flow`.
            found: Numbers, lists and dicts.

        Returns:
            The same, after what was looked at.

        Raises:
            RunDirectoryError: if the disk is full.
        """
        values = {
            "directory": str(self.directory),
            "split": self.split,
            "parameters": self.moment,
            "step": self.step,
            **found,
        }
        with full_disk_named(self.directory):
            RunDirectory(self.directory).write_json(instrument_file(instrument), values)
        return values


def instrument_file(instrument: str) -> str:
    """Name of the file in a run directory that an instrument writes."""
    return f"{instrument.replace('-', '_')}.json"


def look_at(
    directory: Path | str,
    overrides: Overrides = (),
    split: str = "train",
    moment: Moment = "last",
    data_dir: Path | None = None,
) -> Subject:
    """A network of a run directory, to look at.

    Args:
        directory: A run directory.
        overrides: As in `load_config`, for the integrator or the data; parameters must still fit.
        split: `train`, `validation` or `test`.
        moment: The last checkpoint, the best, or the start.
        data_dir: Folder of the published data sets, or None for the usual places.

    Raises:
        ConfigError: if the network had no start of its own.
        OdenetError: as its other children say.
    """
    directory = Path(directory)
    which = "last" if moment == "start" else moment
    experiment, checkpoint = load_trained(directory, overrides, which, data_dir)
    state, step = checkpoint.state, checkpoint.step
    if moment == "start":
        made = {"pruned", "refined"} & set(read_json(directory / RUN))
        if experiment.origin is None and made:
            raise ConfigError(
                f"{directory} is a {made.pop()} network, which had no start of its own; look at "
                f"the run that it was made from, or at its last checkpoint"
            )
        if changed_at(checkpoint.extras) is not None:
            raise ConfigError(
                f"{directory} holds a network of another depth than its training began with; look "
                f"at its last checkpoint"
            )
        state, step = experiment.start, 0
    return Subject(directory, experiment, state, step, moment, split)
