"""One phase of a training: from a state to the end, or to where the network changes its depth."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from odenet.experiment.build import Experiment
from odenet.training import TrainState
from odenet.training.loop import Progress


@dataclasses.dataclass(frozen=True)
class Phase:
    """Where a training has come, with the network that it has there.

    Attributes:
        experiment: The experiment with this network.
        state: The state of the training.
        step: Number of optimiser steps taken.
        data: Position in the data, or None at their start.
        progress: What the run knows beside its state.
        extras: What checkpoints say about the network, where the schedule made it.
    """

    experiment: Experiment
    state: TrainState
    step: int
    data: Mapping[str, Any] | None
    progress: Progress
    extras: Mapping[str, Any]
