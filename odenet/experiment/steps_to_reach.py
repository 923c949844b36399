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


def steps_to_reach(directories: Sequence[Path | str], accuracy: float) -> dict[str, Any]:
    """How many steps each run took to a validation accuracy.

    Args:
        directories: Run directories.
        accuracy: What is to be reached, above 0 and at most 1.

    Returns:
        `runs`, one by one, and `arms`: those that started from runs of the same experiment taken
        together, and those that started from nothing.

    Raises:
        OdenetError: if a directory holds no run, or no accuracy.
    """
    runs: list[dict[str, Any]] = []
    arms: dict[tuple[str, str], list[LearningSpeed]] = {}
    for directory in map(Path, directories):
        require(directory, CONFIG)
        try:
            speed = learning_speed(read_metrics(directory / METRICS), accuracy)
        except ConfigError as error:
            raise ConfigError(f"{directory}: {error}") from error
        config, about = read_experiment(directory / CONFIG), read_json(directory / RUN)
        origin = about["start"]["name"] if "start" in about else SCRATCH
        arms.setdefault((config.name, origin), []).append(speed)
        runs.append(
            {
                "directory": str(directory),
                "experiment": config.name,
                "started_from": origin,
                "seed": config.seed,
                **dataclasses.asdict(speed),
                "git_commit": about["git_commit"],
                "device": about["device"],
            }
        )
    return {
        "accuracy": accuracy,
        "split": "validation",
        "runs": runs,
        "arms": [
            {
                "experiment": experiment,
                "started_from": origin,
                "num_runs": len(speeds),
                "steps": [speed.steps for speed in speeds],
                "mean_steps": mean_steps(speeds),
            }
            for (experiment, origin), speeds in arms.items()
        ],
    }
