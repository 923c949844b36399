"""Evaluate a trained network from its run directory, optionally by another integrator."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax

from odenet.errors import ConfigError
from odenet.experiment.build import Experiment
from odenet.experiment.config import Overrides, override_pairs
from odenet.experiment.directory import RUN, is_comparison, read_json
from odenet.experiment.held_network import changed_at
from odenet.experiment.run import load
from odenet.models import Discretisation
from odenet.narration import doing
from odenet.training.checkpoint import Checkpoint, Folder
from odenet.training.evaluate import FAILURE_METRICS


def evaluate(
    directory: Path | str,
    overrides: Overrides = (),
    split: str = "test",
    which: Folder = "last",
    step_factor: float = 1.0,
    data_dir: Path | None = None,
) -> dict[str, Any]:
    """Metrics of a trained network on a split.

    Args:
        directory: A run directory.
        overrides: As in `load_config`, for the integrator or the data; parameters must still fit.
        split: `train`, `validation` or `test`.
        which: The last checkpoint, the best, or the start.
        step_factor: Number of steps, as a multiple of those in training.
        data_dir: Folder of the published data sets, or None for the default folder.

    Returns:
        `accuracy` (classifiers), `loss`, `nfe` and the other metrics, with the step of the
        checkpoint and the time per batch.

    Raises:
        OdenetError: see its subclasses.
    """
    directory = Path(directory)
    experiment, checkpoint = load_trained(directory, overrides, which, data_dir)
    about = {"directory": str(directory), "split": split, "checkpoint": which}
    return about | measured(experiment, checkpoint, split, step_factor)


def measured(
    experiment: Experiment, checkpoint: Checkpoint, split: str, step_factor: float = 1.0
) -> dict[str, Any]:
    """Metrics of a network in memory on a split, as in `evaluate`.

    Args:
        experiment: The experiment of the network.
        checkpoint: Its parameters and statistics.
        split: `train`, `validation` or `test`.
        step_factor: Number of steps, as a multiple of those in training.

    Raises:
        ConfigError: if `step_factor` is out of range, or would be ignored.
    """
    way = None
    if not (math.isfinite(step_factor) and 0 < step_factor <= 4096):
        raise ConfigError(f"--step-factor must be above 0 and at most 4096; got {step_factor}")
    if step_factor != 1.0:
        _refuse_ignored_factor(experiment.config.model.blocks)
        way = Discretisation(step_factor=Fraction(step_factor).limit_denominator(4096))
    evaluator = experiment.evaluator(experiment.split(split), way)
    state = checkpoint.state
    with doing(f"evaluating on {split}"):
        found = evaluator(state.params, state.statistics)
    return {
        "step": checkpoint.step,
        "num_parameters": experiment.num_parameters,
        **_without_failures(found.metrics),
        "batch_seconds": found.step_seconds,
        "compile_seconds": found.compile_seconds,
    }


def _without_failures(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """The metrics, with None for reason and position of a failure if no solve failed."""
    none = FAILURE_METRICS if metrics["solver_ok"] == 1 else ()
    return {name: None if name in none else value for name, value in metrics.items()}


def load_trained(
    directory: Path, overrides: Overrides, which: Folder, data_dir: Path | None
) -> tuple[Experiment, Checkpoint]:
    """Load a trained network for evaluation.

    Args:
        directory: A run directory.
        overrides: As in `load_config`, for the integrator or the data; parameters must still fit.
        which: The last checkpoint, the best, or the start.
        data_dir: Folder of the published data sets, or None for the default folder.

    Raises:
        ConfigError: if the directory holds a comparison, an override has no effect, or the
            network has no start checkpoint.
        OdenetError: see its other subclasses.
    """
    if is_comparison(directory):
        names = sorted(path.name for path in (directory / "networks").glob("*"))
        raise ConfigError(
            f"{directory} is a comparison; evaluate one of its networks, such as "
            f"{directory / 'networks' / (names or ['NAME'])[0]}"
        )
    parsed = override_pairs(overrides)
    _refuse_ignored_overrides([key for key, _ in parsed])
    if which != "start":
        return load(directory, parsed, which, data_dir)
    experiment, checkpoint = load(directory, parsed, "last", data_dir)
    return experiment, _at_start(directory, experiment, checkpoint)


def _at_start(directory: Path, experiment: Experiment, last: Checkpoint) -> Checkpoint:
    """The state before the first step, instead of the last checkpoint."""
    made = {"pruned", "refined"} & set(read_json(directory / RUN))
    if experiment.origin is None and made:
        raise ConfigError(
            f"{directory} is a {made.pop()} network, which has no start checkpoint; use the run "
            f"from which it was made, or its last checkpoint"
        )
    if changed_at(last.extras) is not None:
        raise ConfigError(
            f"{directory} holds a network of another depth than at the start of its training; "
            f"use its last checkpoint"
        )
    return dataclasses.replace(last, state=jax.device_get(experiment.start), step=0)


def _refuse_ignored_overrides(keys: Sequence[str]) -> None:
    used = ("model", "data", "objective", "training.batch_size", "training.parallel")
    for key in keys:
        if not any(key == part or key.startswith(f"{part}.") for part in used):
            raise ConfigError(
                f"an evaluation would ignore {key}; it accepts overrides of {', '.join(used)}"
            )


def _refuse_ignored_factor(blocks: Sequence[Any]) -> None:
    for block in blocks:
        if block.ode is not None and block.ode.integrator.chooses_steps:
            raise ConfigError(
                "an integrator that chooses its own steps would ignore --step-factor; remove it, "
                "or set model.block.integrator.controller.kind=constant"
            )
