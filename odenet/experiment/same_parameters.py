"""Check that overrides of a trained network leave its parameters unchanged."""

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
    """Refuse overrides that change the shapes of the trained parameters.

    Args:
        found: The checkpoint, with its state as a dict of arrays by path.
        experiment: The experiment with the overrides.
        trained: The experiment of the run, without the overrides.
        overrides: Pairs of dotted key and value.
        directory: The run directory, for the advice.

    Raises:
        ConfigError: naming the override, one array, and the remedy.
    """
    there = _shapes(found.state)
    here = _shapes(named(experiment.template))
    differ = [path for path in (there | here) if there.get(path) != here.get(path)]
    keys = [key for key, _ in overrides if key.split(".")[0] == "model"]
    if not differ or not keys:
        return
    path = differ[0]
    was, now = (shapes.get(path) for shapes in (there, here))
    sizes = f"{'absent' if was is None else was} in training, and {now or 'absent'} now"
    given = ", ".join(f"{key}={value}" for key, value in overrides if key in keys)
    advice = _advice(trained, overrides, directory)
    raise ConfigError(
        f"{given} changes the trained parameters ({path} is {sizes}); overrides of a "
        f"trained network can replace its integrator, not its layers; {advice}"
    )


def _advice(
    trained: ExperimentConfig, overrides: Sequence[tuple[str, Any]], directory: Path
) -> str:
    for key, value in overrides:
        steps = _value(resolved(trained), key)
        if key.endswith("num_steps") and isinstance(value, int) and isinstance(steps, int):
            factor = float(Fraction(value, steps))
            return (
                f"to use another number of steps with the same weights: odenet eval {directory} "
                f"--step-factor {factor:g}; for a network of other layers: odenet refine "
                f"{directory} --to {value}"
            )
    return (
        f"for more or fewer layers: odenet refine {directory}; to train another network: "
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
