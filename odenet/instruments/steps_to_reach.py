"""How many training steps did each run need to reach an accuracy, by its starting point?"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from rich.table import Table

from odenet.analysis.learning_speed import LearningSpeed, learning_speed, mean_steps
from odenet.errors import ConfigError
from odenet.experiment.config import read_experiment
from odenet.experiment.directory import CONFIG, METRICS, RUN, read_json, require
from odenet.instruments.base import Found, RunsInstrument
from odenet.training.callbacks import read_metrics

SCRATCH = "scratch"
"""Name of the starting point of a run whose weights were all initialised."""


class StepsToReach(RunsInstrument):
    """Training steps that runs needed to reach an accuracy, by their starting point."""

    needs: ClassVar[frozenset[str]] = frozenset({"runs", "arms", "accuracies"})
    has_figure: ClassVar[bool] = False
    example: ClassVar[str] = "runs/new runs/transferred --accuracy 0.9"

    kind: Literal["steps-to-reach"] = "steps-to-reach"
    accuracy: tuple[float, ...]
    """Validation accuracy to reach, 0 to 1; may be repeated."""

    def measure(self, directories: Sequence[Path]) -> dict[str, Any]:
        """Read the number of training steps of each run to each validation accuracy.

        Args:
            directories: Run directories.

        Returns:
            `runs`, one entry each, with their `steps` to each accuracy; and `arms`, for each
            accuracy: runs of one experiment with the same starting point (another experiment, or
            `scratch`) as one group.

        Raises:
            OdenetError: if no directory or no accuracy is given, or a directory is not a run or has
                no validation accuracy.
        """
        accuracies = self.accuracy
        if not (directories and accuracies):
            raise ConfigError("give at least one run directory, and one accuracy to reach")
        runs: list[dict[str, Any]] = []
        arms: dict[tuple[str, str, float], list[LearningSpeed]] = {}
        for directory in directories:
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

    @staticmethod
    def table(found: Found) -> Table:
        """The steps of every run to each accuracy."""
        targets = [f"to {accuracy:.4g}" for accuracy in found["accuracies"]]
        table = Table("run", "started from", "seed", *targets, "best", box=None, pad_edge=False)
        for run in found["runs"]:
            steps = ["never" if steps is None else str(steps) for steps in run["steps"]]
            row = run["directory"], run["started_from"], str(run["seed"]), *steps
            table.add_row(*row, f"{run['best']:.4g}")
        return table

    @staticmethod
    def sentences(found: Found) -> list[str]:
        """The mean number of steps of every group of runs."""
        lines = []
        for arm in found["arms"]:
            mean = "not all" if arm["mean_steps"] is None else f"{arm['mean_steps']:.1f} steps"
            lines.append(
                f"{arm['experiment']} from {arm['started_from']}: {mean} to {arm['accuracy']:.4g} "
                f"(mean of {arm['num_runs']})"
            )
        return lines
