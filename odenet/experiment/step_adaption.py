"""Steps that keep a network an ODE while it trains (Ott et al. 2021, arXiv:2007.15386, alg. 2)."""

from collections.abc import Callable
from typing import Any

from odenet.depth.schedule import StepAdaptionConfig
from odenet.experiment.adaptable import adaptable_blocks
from odenet.experiment.build import Experiment, build
from odenet.experiment.config import ExperimentConfig
from odenet.experiment.depth_change import DepthChange
from odenet.experiment.derived import with_blocks
from odenet.experiment.refine import stage_sizes
from odenet.integrators import ExplicitConfig
from odenet.training import Evaluator, TrainState


class StepAdaption:
    """What the schedule asks for, look after look, by programs that are compiled once.

    Numbers of steps come back again and again. An instance keeps the evaluation by each of them for
    a whole training, and the answer for the last step, since a training asks twice: whether to
    leave its loop, and for what.
    """

    def __init__(self):
        self._evaluators: dict[tuple[int, str], Evaluator] = {}
        self._last: tuple[int, DepthChange | None] | None = None

    def due(self, experiment: Experiment, step: int, state: TrainState) -> DepthChange | None:
        """The network with more or fewer steps, or None if they stay.

        Args:
            experiment: With the network as it is.
            step: Number of optimiser steps taken.
            state: The state after it.
        """
        schedule = experiment.config.training.depth_schedule
        assert isinstance(schedule, StepAdaptionConfig)
        if not schedule.due(step):
            return None
        if self._last is None or self._last[0] != step:
            self._last = step, self._look(experiment, schedule, state)
        return self._last[1]

    def _look(
        self, experiment: Experiment, schedule: StepAdaptionConfig, state: TrainState
    ) -> DepthChange | None:
        now = adaptable_blocks(experiment.config)[0].num_steps
        new, changes = adapted(
            schedule, now, lambda num_steps: self.change_of_accuracy(experiment, state, num_steps)
        )
        if new == now:
            return None
        config = with_steps(experiment.config, new)
        record: dict[str, Any] = {
            "kind": schedule.kind,
            "stages": stage_sizes(experiment.config.model.blocks, config.model.blocks),
            "changes_of_accuracy": changes,
        }
        return DepthChange(config, dict, record)

    def change_of_accuracy(
        self, experiment: Experiment, state: TrainState, num_steps: int
    ) -> float:
        """Validation accuracy by Euler in `num_steps` steps, less that under the finer solver."""
        finer = StepAdaptionConfig.finer(num_steps)
        own = self._accuracy(experiment, num_steps, "euler", state)
        return own - self._accuracy(experiment, finer, "midpoint", state)

    def _accuracy(
        self, experiment: Experiment, num_steps: int, kind: str, state: TrainState
    ) -> float:
        if (num_steps, kind) not in self._evaluators:
            config, origin = with_steps(experiment.config, num_steps, kind), experiment.origin
            begin = None if origin is None else lambda params, rest: (params, rest, origin)
            other = build(config, begin=begin, dataset=experiment.dataset)
            self._evaluators[num_steps, kind] = other.evaluator(other.dataset.validation)
        evaluator = self._evaluators[num_steps, kind]
        return evaluator(state.params, state.statistics).metrics["accuracy"]


def adapted(
    schedule: StepAdaptionConfig, num_steps: int, change: Callable[[int], float]
) -> tuple[int, dict[int, float]]:
    """The next number of steps, and the changes of accuracy that were looked at.

    Args:
        schedule: The rule.
        num_steps: As it is.
        change: From a number of steps to the change of accuracy under the finer solver.
    """
    changes = {num_steps: change(num_steps)}
    if abs(changes[num_steps]) > schedule.threshold:
        return schedule.shorter(num_steps), changes
    longer = schedule.longer(num_steps)
    if longer == num_steps:
        return num_steps, changes
    changes[longer] = change(longer)
    return (num_steps if abs(changes[longer]) > schedule.threshold else longer), changes


def with_steps(config: ExperimentConfig, num_steps: int, kind: str = "euler") -> ExperimentConfig:
    """The experiment with so many steps in every block, by an explicit method."""
    changes = {"num_steps": num_steps, "integrator": ExplicitConfig.model_validate({"kind": kind})}
    blocks = [block.model_copy(update=changes) for block in adaptable_blocks(config)]
    return with_blocks(config, blocks, f"with {num_steps} steps")
