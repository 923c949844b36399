"""The depth schedule of a training: its check before the training, its changes during it."""

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
    """Refuse, before the training, a schedule that does not fit the network.

    Returns:
        The experiment with the final network of the training, as far as it is known.

    Raises:
        ConfigError: naming the stage.
    """
    schedule = config.training.depth_schedule
    if schedule is None:
        return config
    return cast(NetworkSurgery, schedule.check(NetworkSurgery(config))).config


class DepthPlan:
    """The changes of depth that a schedule makes during a training.

    An instance caches one compiled evaluation per number of steps, since the same numbers recur. It
    also caches the change at the last step, since a training requests it twice: to leave its loop,
    and to apply the change.

    Args:
        schedule: The schedule.
    """

    def __init__(self, schedule: DepthScheduleConfig):
        self._schedule = schedule
        self._evaluators: dict[tuple[int, str], Evaluator] = {}
        self._last: tuple[int, DepthChange | None] | None = None

    def due(self, experiment: Experiment, step: int, state: TrainState) -> DepthChange | None:
        """The change of depth after a step, or None.

        Args:
            experiment: The experiment with the present network.
            step: Number of optimiser steps taken.
            state: The state after this step.
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
        """The network at one state, in the form that schedules use."""

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
