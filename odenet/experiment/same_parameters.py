"""Overrides of a trained network: they leave its parameters alone, or are refused by name."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from odenet.errors import ConfigError
from odenet.experiment.build import Experiment
from odenet.experiment.config import ExperimentConfig, resolved
from odenet.training.checkpoint import Checkpoint, named

_WEIGHTS = ("params/", "statistics/")


def refuse_other_parameters(
    found: Checkpoint,
    experiment: Experiment,
    trained: ExperimentConfig,
    overrides: Sequence[tuple[str, Any]],
    directory: Path,
) -> None:
    """Refuse overrides that make a network of other parameters than those that were trained.

    Args:
        found: The checkpoint, its state a dict of arrays by path.
        experiment: What was built with the overrides.
        trained: The experiment of the run, without them.
        overrides: Pairs of dotted key and value.
        directory: The run directory, for the advice.

    Raises:
        ConfigError: naming the override, one array, and what to do.
    """
    there = _shapes(found.state)
    here = _shapes(named(experiment.start))
    differ = [path for path in (there | here) if there.get(path) != here.get(path)]
    keys = [key for key, _ in overrides if key.split(".")[0] == "model"]
    if not differ or not keys:
        return
    path = differ[0]
    was, now = (shapes.get(path) for shapes in (there, here))
    sizes = f"{'not there' if was is None else was} in training, and {now or 'not there'} now"
    given = ", ".join(f"{key}={value}" for key, value in overrides if key in keys)
    advice = _advice(trained, overrides, directory)
    raise ConfigError(
        f"{given} changes the parameters that were trained ({path} is {sizes}); overrides of a "
        f"trained network may exchange its integrator, not its layers; {advice}"
    )


def _advice(
    trained: ExperimentConfig, overrides: Sequence[tuple[str, Any]], directory: Path
) -> str:
    for key, value in overrides:
        steps = _value(resolved(trained), key)
        if key.endswith("num_steps") and isinstance(value, int) and isinstance(steps, int):
            factor = float(Fraction(value, steps))
            return (
                f"to take other steps with the same weights: odenet eval {directory} "
                f"--step-factor {factor:g}; for a network of other layers: odenet refine "
                f"{directory} --to {value}"
            )
    return (
        f"for a network of more layers or fewer: odenet refine {directory}; to train another: "
        f"odenet run {directory / 'config.yaml'} with these overrides"
    )


def _value(values: Any, key: str) -> Any:
    for name in key.split("."):
        if isinstance(values, dict):
            values = values.get(name)
        elif isinstance(values, list) and name.isdigit() and int(name) < len(values):
            values = values[int(name)]
        else:
            return None
    return values


def _shapes(arrays: Any) -> dict[str, tuple[int, ...]]:
    return {path: np.shape(leaf) for path, leaf in arrays.items() if path.startswith(_WEIGHTS)}
