"""Trainings at several step sizes: below which of them is the trained network an ODE?"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from odenet.analysis.critical_step import TrainedAt, critical_step
from odenet.errors import ConfigError
from odenet.experiment.config import read_experiment
from odenet.experiment.depth_family import depth_family
from odenet.experiment.directory import CONFIG, read_json, require
from odenet.experiment.subject import instrument_file

_CONVERGENCE = instrument_file("convergence")


def critical_steps(directories: Sequence[Path | str]) -> dict[str, Any]:
    """Find the critical step size of training for every seed.

    Args:
        directories: Run directories in which `odenet analyse convergence` has measured. They differ
            in their seed and in `num_steps` of blocks alone.

    Returns:
        `seeds`, one by one: the networks from the largest step size to the smallest with their
        accuracy and its fall, `critical_step`, and the next larger step size `above`.

    Raises:
        ConfigError: if none is named, networks differ in more, or were judged by different
            thresholds or not at all.
        OdenetError: as its other children say.
    """
    if not directories:
        raise ConfigError("name the run directories of trainings at several step sizes")
    seeds: dict[int, dict[int, TrainedAt]] = {}
    commits, thresholds = set(), set()
    first: tuple[Path, dict[str, Any]] | None = None
    for directory in map(Path, directories):
        require(directory, CONFIG)
        if not (directory / _CONVERGENCE).is_file():
            raise ConfigError(
                f"a critical step size follows from measurements of every run, and {directory} has "
                f"no {_CONVERGENCE}; measure it with: odenet analyse convergence {directory}"
            )
        config, found = read_experiment(directory / CONFIG), read_json(directory / _CONVERGENCE)
        plain = depth_family(config)
        origin, expected = first = first or (directory, plain)
        if plain != expected:
            raise ConfigError(
                f"a critical step size is looked for in trainings that differ in num_steps and "
                f"seed alone; {directory} differs from {origin} in more"
            )
        judged = found["criticality"]
        if judged is None:
            raise ConfigError(
                f"{directory} was not judged: a network is an ODE if its accuracy does not change "
                f"under a near-exact solve, and it has no accuracy, or that solve did not arrive"
            )
        accuracy = judged["reference_accuracy"] + judged["change"]
        steps, of_seed = found["num_steps"][0], seeds.setdefault(config.seed, {})
        if steps in of_seed:
            raise ConfigError(f"{directory} has the seed and the steps of an earlier directory")
        of_seed[steps] = TrainedAt(
            found["largest_step"], steps, accuracy, judged["reference_accuracy"]
        )
        thresholds.add(judged["threshold"])
        commits.add(read_json(directory / "run.json")["git_commit"])
    if len(thresholds) > 1:
        raise ConfigError(
            f"networks are judged by one threshold; these were measured with {sorted(thresholds)}"
        )
    threshold = thresholds.pop()
    return {
        "criterion": "Ott et al. 2021, arXiv:2007.15386",
        "threshold": threshold,
        "git_commits": sorted(map(str, commits)),
        "seeds": [_of_seed(seed, list(of.values()), threshold) for seed, of in seeds.items()],
    }


def _of_seed(seed: int, trained: Sequence[TrainedAt], threshold: float) -> dict[str, Any]:
    found = critical_step(trained, threshold)
    ordered = sorted(trained, key=lambda one: one.num_steps)
    return {
        "seed": seed,
        "trained": [dataclasses.asdict(one) | {"fall": one.fall} for one in ordered],
        "critical_step": found.step,
        "above": found.above,
    }
