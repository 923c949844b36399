"""The numbers of one training, in the order of the page and the table."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from odenet.plotting import wording


class Quantity(NamedTuple):
    """A named number and its text."""

    name: str
    value: wording.Number | None
    text: str


def best_validation(results: Mapping[str, Any]) -> wording.Number | None:
    """Best validation accuracy or, for regression, the smallest validation loss."""
    score = results["best_validation_score"]
    # The score of a regression is minus its loss, so that larger is better for both.
    return score if score is None or "accuracy" in results["test"] else -score


def run_summary(results: Mapping[str, Any]) -> list[Quantity]:
    """Scores and cost of a training.

    Args:
        results: Contents of `results.json`.
    """
    test = results["test"]
    metric, say = ("accuracy", wording.percent) if "accuracy" in test else ("loss", wording.decimal)
    best, step = best_validation(results), results["best_step"]
    best_text = say(best) if step is None else f"{say(best)} at step {step:,}"
    told = [
        Quantity("test accuracy", test.get("accuracy"), wording.percent(test.get("accuracy"))),
        Quantity("test loss", test["loss"], wording.decimal(test["loss"])),
        Quantity(f"best validation {metric}", best, best_text),
        Quantity("optimiser steps", results["step"], wording.count(results["step"])),
        Quantity("parameters", *_counted(results["num_parameters"])),
        Quantity("field evaluations for a batch", *_counted(test.get("nfe"))),
        Quantity("solver failures in training", *_counted(results["solver_failures"])),
        Quantity("time of a training step", *_timed(results["step_seconds"])),
        Quantity("compile time, training", *_timed(results["compile_seconds"])),
        Quantity("compile time, evaluation", *_timed(results["evaluation_compile_seconds"])),
        *map(_depth_change, results.get("levels", [])),
        Quantity("peak memory", results["peak_bytes"], wording.size(results["peak_bytes"])),
    ]
    return told if "accuracy" in test else told[1:]


def _depth_change(level: Mapping[str, Any]) -> Quantity:
    """The loss before and after a change of depth, and after one training step without it."""
    before, after, stepped = (
        wording.decimal(level[name])
        for name in ("loss_before", "loss_after", "loss_after_one_step")
    )
    sizes = ", ".join(
        " to ".join(map(str, stage["num_steps"])) for stage in level["stages"] if stage
    )
    name = f"{level['split']} loss as depth changes, step {level['step']:,}"
    return Quantity(name, level["jump"], f"{before} -> {after} ({sizes}); a step: {stepped}")


def _counted(value: wording.Number | None) -> tuple[wording.Number | None, str]:
    return value, wording.count(value)


def _timed(value: wording.Number | None) -> tuple[wording.Number | None, str]:
    return value, wording.seconds(value)
