"""`odenet eval`: evaluate a trained network on a split, optionally by another integrator."""

from enum import StrEnum
from typing import Annotated

import typer

from odenet.cli.options import DataDir, Json, Overrides, RunPath


class SplitName(StrEnum):
    """The split to evaluate on."""

    train = "train"
    validation = "validation"
    test = "test"


class CheckpointName(StrEnum):
    """The checkpoint to evaluate."""

    last = "last"
    best = "best"


def command(
    directory: RunPath,
    overrides: Overrides = None,
    split: Annotated[SplitName, typer.Option(help="Split to evaluate on.")] = SplitName.test,
    checkpoint: Annotated[
        CheckpointName, typer.Option(help="The last checkpoint, or the best on validation.")
    ] = CheckpointName.last,
    step_factor: Annotated[
        float, typer.Option(help="Number of integration steps, as a multiple of those in training.")
    ] = 1.0,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Evaluate a trained network; an override can replace its integrator."""
    from odenet.cli.finish import show_evaluation
    from odenet.experiment.evaluate import evaluate

    found = evaluate(
        directory, overrides or [], split.value, checkpoint.value, step_factor, data_dir
    )
    show_evaluation(found, json)
