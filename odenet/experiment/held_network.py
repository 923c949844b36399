"""Which network a checkpoint holds, of a run that changes its depth while it trains."""

from collections.abc import Mapping
from typing import Any

from odenet.experiment.config import ExperimentConfig, parse_config, resolved, to_values

CHANGED = "depth"
"""Key of a checkpoint's extras that holds the network that the schedule has made, and when."""


def held_by(config: ExperimentConfig, extras: Mapping[str, Any]) -> ExperimentConfig:
    """The experiment with the network that a checkpoint holds.

    Args:
        config: The experiment as its run directory has it.
        extras: What was saved beside the checkpoint.
    """
    model = extras.get(CHANGED, {}).get("model")
    if model is None:
        return config
    return parse_config(to_values(config) | {"model": model}, where=f"experiment {config.name}")


def extras_of(config: ExperimentConfig, step: int) -> dict[str, Any]:
    """What every checkpoint says of a network that the schedule made.

    Args:
        config: The experiment with that network.
        step: The step after which it was made.
    """
    return {CHANGED: {"step": step, "model": resolved(config)["model"]}}


def changed_at(extras: Mapping[str, Any]) -> int | None:
    """The step after which the network of a checkpoint was made, or None if it began so."""
    return extras.get(CHANGED, {}).get("step")
