"""Steps that runs needed to an accuracy: from the weights of another run, or from scratch."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from odenet.analysis.learning_speed import LearningSpeed, learning_speed, mean_steps
from odenet.errors import ConfigError
from odenet.experiment.config import read_experiment
from odenet.experiment.directory import CONFIG, METRICS, RUN, read_json, require
from odenet.training.callbacks import read_metrics

SCRATCH = "scratch"
"""What a run is said to have started from where all of its weights were drawn."""


def steps_to_reach(
    directories: Sequence[Path | str], accuracies: Sequence[float]
) -> dict[str, Any]:
    """How many steps each run took to validation accuracies.

    Args:
        directories: Run directories.
        accuracies: What is to be reached, each above 0 and at most 1.

    Returns:
        `runs`, one by one, with their `steps` to each accuracy; and `arms`, for each accuracy:
        those that started from runs of the same experiment taken together, and those that started
        from nothing.

    Raises:
        OdenetError: if none is named, or a directory holds no run, or no accuracy.
    """
    if not (directories and accuracies):
        raise ConfigError("name at least one run directory, and one accuracy to reach")
    runs: list[dict[str, Any]] = []
    arms: dict[tuple[str, str, float], list[LearningSpeed]] = {}
    for directory in map(Path, directories):
        require(directory, CONFIG)
        try:
            records = read_metrics(directory / METRICS)
            speeds = [learning_speed(records, accuracy) for accuracy in accuracies]
        except ConfigError as error:
            raise ConfigError(f"{directory}: {error}") from error
        config, about = read_experiment(directory / CONFIG), read_json(directory / RUN)
        origin = about["start"]["name"] if "start" in about else SCRATCH
        for accuracy, speed in zip(accuracies, speeds, strict=True):
            arms.setdefault((config.name, origin, accuracy), []).append(speed)
        runs.append(
            {
                "directory": str(directory),
                "experiment": config.name,
                "started_from": origin,
                "seed": config.seed,
                **dataclasses.asdict(speeds[0]),
                "steps": [speed.steps for speed in speeds],
                "git_commit": about["git_commit"],
                "device": about["device"],
            }
        )
    return {
        "accuracies": list(accuracies),
        "split": "validation",
        "runs": runs,
        "arms": [
            {
                "experiment": experiment,
                "started_from": origin,
                "accuracy": accuracy,
                "num_runs": len(speeds),
                "steps": [speed.steps for speed in speeds],
                "mean_steps": mean_steps(speeds),
            }
            for (experiment, origin, accuracy), speeds in arms.items()
        ],
    }
