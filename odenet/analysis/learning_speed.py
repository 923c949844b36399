"""Learning speed of a training: the first step at which a metric reached a given value."""

import dataclasses
from collections.abc import Iterable, Sequence

from odenet.errors import ConfigError
from odenet.training.callbacks import Record


@dataclasses.dataclass(frozen=True)
class LearningSpeed:
    """The learning speed of one training.

    Attributes:
        steps: The first evaluation that reached the accuracy, in optimiser steps; None if none
            did.
        best: Best accuracy of all evaluations.
        num_steps: The step of the last evaluation.
    """

    steps: int | None
    best: float
    num_steps: int


def learning_speed(records: Iterable[Record], accuracy: float) -> LearningSpeed:
    """The step at which a training first reached the accuracy on its validation split.

    It is known at the steps of the evaluations alone: `steps` is at most one interval too large.

    Args:
        records: The records of `metrics.jsonl`, oldest first.
        accuracy: The accuracy to reach, above 0 and at most 1.

    Raises:
        ConfigError: if `accuracy` is out of range, or no evaluation measured an accuracy.
    """
    if not 0 < accuracy <= 1:
        raise ConfigError(f"the accuracy to reach is above 0 and at most 1; got {accuracy}")
    seen = [
        (int(record["step"]), float(record["accuracy"]))
        for record in records
        if record["split"] == "validation" and "accuracy" in record
    ]
    if not seen:
        raise ConfigError(
            "no evaluation with an accuracy is recorded; only classifiers have one, and "
            "training.evaluate_every sets the interval of its measurements"
        )
    steps = next((step for step, found in seen if found >= accuracy), None)
    return LearningSpeed(steps, max(found for _, found in seen), seen[-1][0])


def mean_steps(speeds: Sequence[LearningSpeed]) -> float | None:
    """Mean number of steps over trainings, or None if one never reached the accuracy."""
    steps = [speed.steps for speed in speeds if speed.steps is not None]
    return sum(steps) / len(steps) if len(steps) == len(speeds) else None
