"""The depth schedule of one training: what is due, checked before it and asked during it."""

from typing import Any, cast

import jax
import numpy as np

from odenet.depth.schedule import DepthScheduleConfig
from odenet.experiment.build import Experiment, build
from odenet.experiment.config import ExperimentConfig
from odenet.experiment.refinement.adaptable import with_steps
from odenet.experiment.refinement.surgery import DepthChange, NetworkSurgery
from odenet.training import Evaluator, TrainState
from odenet.training.checkpoint import named


def check_schedule(config: ExperimentConfig) -> ExperimentConfig:
    """Refuse a schedule that could not be followed, before anything is trained.

    Returns:
        The experiment with the network that the training ends with, as far as that is known.

    Raises:
        ConfigError: naming the stage.
    """
    schedule = config.training.depth_schedule
    if schedule is None:
        return config
    return cast(NetworkSurgery, schedule.check(NetworkSurgery(config))).config


class DepthPlan:
    """What a schedule asks for, look after look.

    Numbers of steps come back again and again. An instance keeps the compiled evaluation by each
    of them for a whole training, and the answer for the last step, since a training asks twice:
    whether to leave its loop, and for what.

    Args:
        schedule: The schedule.
    """

    def __init__(self, schedule: DepthScheduleConfig):
        self._schedule = schedule
        self._evaluators: dict[tuple[int, str], Evaluator] = {}
        self._last: tuple[int, DepthChange | None] | None = None

    def due(self, experiment: Experiment, step: int, state: TrainState) -> DepthChange | None:
        """The change after a step, or None if the network stays as it is.

        Args:
            experiment: With the network as it is.
            step: Number of optimiser steps taken.
            state: The state after it.
        """
        if not self._schedule.due(step):
            return None
        if self._last is None or self._last[0] != step:
            self._last = step, self._asked(experiment, state)
        return self._last[1]

    def _asked(self, experiment: Experiment, state: TrainState) -> DepthChange | None:
        change = self._schedule.apply(self.network(experiment, state))
        if change is None:
            return None
        change = cast(DepthChange, change)
        named_kind: dict[str, Any] = {"kind": self._schedule.kind}
        return DepthChange(change.config, change.arrays, named_kind | change.record)

    def network(self, experiment: Experiment, state: TrainState) -> NetworkSurgery:
        """The network at one state, as the schedule sees it."""

        def accuracy(num_steps: int, method: str) -> float:
            evaluator = self._evaluator(experiment, num_steps, method)
            return evaluator(state.params, state.statistics).metrics["accuracy"]

        return NetworkSurgery(experiment.config, _step_sizes(state), accuracy)

    def _evaluator(self, experiment: Experiment, num_steps: int, method: str) -> Evaluator:
        if (num_steps, method) not in self._evaluators:
            config, origin = with_steps(experiment.config, num_steps, method), experiment.origin
            begin = None if origin is None else lambda params, rest: (params, rest, origin)
            other = build(config, begin=begin, dataset=experiment.dataset)
            self._evaluators[num_steps, method] = other.evaluator(other.dataset.validation)
        return self._evaluators[num_steps, method]


def _step_sizes(state: TrainState) -> dict[str, np.ndarray]:
    """The parameters of the step sizes by path, on the host."""
    found = named({"params": state.params})
    return jax.device_get({path: leaf for path, leaf in found.items() if "/step_sizes/" in path})
