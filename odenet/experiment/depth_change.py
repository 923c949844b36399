"""A network that changes its depth while it trains: what is due, and the network after it."""

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import numpy as np

from odenet.depth.schedule import MultilevelConfig, PruningConfig, StepAdaptionConfig
from odenet.experiment.adaptable import check_adaptable
from odenet.experiment.config import ExperimentConfig
from odenet.experiment.derived import Arrays, with_blocks
from odenet.experiment.prune import pruned_config, pruned_stages, refuse_whole, select_pruned
from odenet.experiment.refine import refined_stages, stage_sizes, transferred
from odenet.experiment.refined_stage import Refinement
from odenet.training import TrainState
from odenet.training.checkpoint import named


@dataclasses.dataclass(frozen=True)
class DepthChange:
    """What happens to a network at a step.

    Attributes:
        config: The experiment with the new network.
        arrays: From the arrays of the training state of the old network to those of the new one.
        record: What is written down about it.
    """

    config: ExperimentConfig
    arrays: Callable[[Arrays], dict[str, np.ndarray]]
    record: dict[str, Any]


def change_due(config: ExperimentConfig, step: int, arrays: Arrays) -> DepthChange | None:
    """What the schedule asks for after a step, or None if the network stays as it is.

    Args:
        config: The experiment with the network as it is.
        step: Number of optimiser steps taken.
        arrays: By path, the training state, or the parameters of its step sizes at least.

    Raises:
        ConfigError: if the network cannot be changed so.
    """
    schedule = config.training.depth_schedule
    if schedule is None or not schedule.due(step):
        return None
    if isinstance(schedule, MultilevelConfig):
        return _divided(config, schedule, arrays)
    assert isinstance(schedule, PruningConfig), "what a network says decides on other schedules"
    return _pruned(config, schedule, arrays)


def _divided(
    config: ExperimentConfig, schedule: MultilevelConfig, arrays: Arrays | None
) -> DepthChange:
    asked = Refinement(Fraction(schedule.factor), prolongation=schedule.prolongation)
    stages = refined_stages(config, asked, arrays)
    new = with_blocks(config, [stage.block for stage in stages], "refined")
    record = {"kind": schedule.kind, "stages": stage_sizes(config.model.blocks, new.model.blocks)}
    return DepthChange(new, lambda arrays: transferred(arrays, stages), record)


def _pruned(
    config: ExperimentConfig, schedule: PruningConfig, arrays: Arrays
) -> DepthChange | None:
    stages = pruned_stages(config, arrays, schedule.share, schedule.remove, spare_pairs=True)
    if not any(stage.removed for stage in stages):
        return None
    new = pruned_config(config, stages)
    record = {
        "kind": schedule.kind,
        "stages": [
            size | ({} if stage.kept_whole else {"removed": stage.removed, "shares": stage.shares})
            for size, stage in zip(
                stage_sizes(config.model.blocks, new.model.blocks), stages, strict=True
            )
        ],
    }
    return DepthChange(new, lambda arrays: select_pruned(arrays, stages, new), record)


def check_schedule(config: ExperimentConfig) -> ExperimentConfig:
    """Refuse a schedule that could not be followed, before anything is trained.

    Returns:
        The experiment with the network that the training ends with, as far as that is known: what
        pruning leaves is not.

    Raises:
        ConfigError: naming the stage.
    """
    schedule = config.training.depth_schedule
    if isinstance(schedule, MultilevelConfig):
        for _ in schedule.at:
            config = _divided(config, schedule, None).config
    elif isinstance(schedule, PruningConfig):
        refuse_whole(pruned_stages(config, None, schedule.share, schedule.remove))
    elif isinstance(schedule, StepAdaptionConfig):
        check_adaptable(config, schedule)
    return config


def leaves(config: ExperimentConfig) -> Callable[[int, TrainState], bool] | None:
    """Whether the network changes after a step, or None if the schedule never changes one."""
    schedule = config.training.depth_schedule
    if schedule is None:
        return None

    def changes(step: int, state: TrainState) -> bool:
        return schedule.due(step) and change_due(config, step, _step_sizes(state)) is not None

    return changes


def _step_sizes(state: TrainState) -> dict[str, np.ndarray]:
    """The parameters of the step sizes by path, on the host."""
    found = named({"params": state.params})
    return jax.device_get({path: leaf for path, leaf in found.items() if "/step_sizes/" in path})
