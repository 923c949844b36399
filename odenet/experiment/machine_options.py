"""Options that may change when a run is resumed: devices, intervals of records, memory."""

import math
from typing import Any

from odenet.errors import ConfigError
from odenet.experiment.config import ExperimentConfig, Overrides, override_pairs, variant
from odenet.training.parallel import ParallelConfig

FREE = tuple(
    f"training.{name}"
    for name in (
        "parallel",
        "log_every",
        "evaluate_every",
        "checkpoint_every",
        "keep_checkpoints",
        "steps_per_dispatch",
        "resident_bytes",
    )
)
"""Keys of overrides that leave every update unchanged up to round-off."""


def resumed_config(config: ExperimentConfig, overrides: Overrides) -> ExperimentConfig:
    """The experiment of a resumed run with other devices or intervals.

    Args:
        config: The experiment of the run.
        overrides: As in `load_config`.

    Raises:
        ConfigError: naming the keys that would change the training.
    """
    pairs = override_pairs(overrides)
    refused = [key for key, _ in pairs if not is_below(key, FREE)]
    if refused:
        raise ConfigError(
            f"resume continues the same training, so it accepts only overrides of "
            f"{', '.join(FREE)}; got {', '.join(refused)}; to train with other values, start a "
            f"new run from its weights: odenet run RUN/config.yaml start.run=RUN KEY=VALUE"
        )
    return variant(config, pairs) if pairs else config


def is_below(key: str, keys: tuple[str, ...]) -> bool:
    """Whether a dotted key is one of `keys` or lies below one."""
    return any(key == one or key.startswith(f"{one}.") for one in keys)


def in_step(config: ExperimentConfig, step: int) -> ExperimentConfig:
    """The experiment with `steps_per_dispatch` reduced such that dispatches align at `step`.

    Args:
        config: The experiment of the run.
        step: Number of optimiser steps taken.
    """
    steps = config.training.dispatch_steps
    if step % steps == 0:
        return config
    return _with_training(config, steps_per_dispatch=math.gcd(steps, step))


def on_these_devices(config: ExperimentConfig, overrides: Overrides) -> ExperimentConfig:
    """The experiment on one device if this machine lacks the devices of the training.

    An evaluation needs only one device. Devices in `overrides` stay.

    Args:
        config: The experiment of the run, with overrides applied.
        overrides: As in `load_config`.
    """
    training = config.training
    asked = any(is_below(key, ("training.parallel",)) for key, _ in override_pairs(overrides))
    if asked or training.parallel.complaint(training.batch_size) is None:
        return config
    return _with_training(config, parallel=ParallelConfig(devices=1))


def _with_training(config: ExperimentConfig, **changes: Any) -> ExperimentConfig:
    training = config.training.model_copy(update=changes)
    return config.model_copy(update={"training": training})
