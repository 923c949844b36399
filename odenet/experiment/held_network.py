"""The network of a checkpoint, in a run whose depth changes during training."""

from collections.abc import Mapping
from typing import Any

from odenet.experiment.config import ExperimentConfig, parse_config, resolved, to_values

CHANGED = "depth"
"""Key in the extras of a checkpoint: the network after a change of depth, and its step."""


def held_by(config: ExperimentConfig, extras: Mapping[str, Any]) -> ExperimentConfig:
    """The experiment with the network of a checkpoint.

    Args:
        config: The experiment of the run directory.
        extras: Extras of the checkpoint.
    """
    model = extras.get(CHANGED, {}).get("model")
    if model is None:
        return config
    return parse_config(to_values(config) | {"model": model}, where=f"experiment {config.name}")


def extras_of(config: ExperimentConfig, step: int) -> dict[str, Any]:
    """The extras of every checkpoint of a network after a change of depth.

    Args:
        config: The experiment with that network.
        step: The step of the change.
    """
    return {CHANGED: {"step": step, "model": resolved(config)["model"]}}


def changed_at(extras: Mapping[str, Any]) -> int | None:
    """The step at which the network of a checkpoint was changed, or None if it never was."""
    return extras.get(CHANGED, {}).get("step")
