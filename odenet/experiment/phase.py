"""One phase of a training, between two changes of the depth of the network."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from odenet.experiment.build import Experiment
from odenet.training import TrainState
from odenet.training.loop import Progress


@dataclasses.dataclass(frozen=True)
class Phase:
    """The position of a training, with its present network.

    Attributes:
        experiment: The experiment with the present network.
        state: The state of the training.
        step: Number of optimiser steps taken.
        data: Position in the data, or None at the start.
        progress: Progress of the run beside its state.
        extras: Extras of the checkpoints after a change of depth; else empty.
    """

    experiment: Experiment
    state: TrainState
    step: int
    data: Mapping[str, Any] | None
    progress: Progress
    extras: Mapping[str, Any]
