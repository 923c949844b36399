"""`odenet analyse`: instruments that look at a trained network, one subcommand each."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from odenet.cli.evaluate import CheckpointName, SplitName
from odenet.cli.options import DataDir, Json, Overrides, RunPath
from odenet.cli.refine import BasisName

app = typer.Typer(
    help="Look into a trained network: one instrument for each subcommand.", no_args_is_help=True
)


class Moment(StrEnum):
    """The parameters to look at."""

    start = "start"
    last = "last"
    best = "best"


class BatchStatistics(StrEnum):
    """What batch norms use."""

    live = "live"
    frozen = "frozen"


@app.command("gradient-flow")
def gradient_flow_command(
    directory: RunPath,
    overrides: Overrides = None,
    split: Annotated[SplitName, typer.Option(help="Which examples.")] = SplitName.train,
    at: Annotated[
        Moment, typer.Option(help="The weights at the start, the last, or the best on validation.")
    ] = Moment.last,
    examples: Annotated[
        int, typer.Option(help="Examples that the loss is averaged over, in one batch.")
    ] = 256,
    factor_examples: Annotated[
        int, typer.Option(help="Examples at which the factor of each layer is measured.")
    ] = 8,
    threshold: Annotated[
        float, typer.Option(help="Decades of change over depth that count as none.")
    ] = 2.0,
    batch_statistics: Annotated[
        BatchStatistics | None,
        typer.Option(
            help="What batch norms use for the gradients: statistics of the examples (live) or "
            "running ones (frozen); without it, as in the run's training."
        ),
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Follow the gradient from the last layer to the first: vanishing, exploding or healthy?

    Writes gradient_flow.json and a figure into the run directory, and its report again.
    """
    from odenet.cli.finish import finish_gradient_flow
    from odenet.experiment.gradient_flow import analyse_gradient_flow

    found = analyse_gradient_flow(
        directory, overrides or [], split.value, at.value, examples, factor_examples, threshold,
        None if batch_statistics is None else batch_statistics.value, data_dir,
    )  # fmt: skip
    finish_gradient_flow(directory, found, json)


@app.command("steps-to-reach")
def steps_to_reach_command(
    directories: Annotated[list[Path], typer.Argument(help="Run directories.", metavar="RUN...")],
    accuracy: Annotated[
        list[float], typer.Option(help="Validation accuracy to reach, 0 to 1; may be repeated.")
    ],
    json: Json = False,
) -> None:
    """How many steps did each run take to an accuracy? From another run, or from scratch."""
    from odenet.cli.finish import show_steps_to_reach
    from odenet.experiment.steps_to_reach import steps_to_reach

    show_steps_to_reach(steps_to_reach(directories, accuracy), json)


@app.command("basis")
def basis_command(
    directory: RunPath,
    overrides: Overrides = None,
    split: Annotated[SplitName, typer.Option(help="Which examples.")] = SplitName.test,
    checkpoint: Annotated[
        CheckpointName, typer.Option(help="The last weights, or the best on validation.")
    ] = CheckpointName.last,
    basis: Annotated[
        list[BasisName] | None,
        typer.Option(help="Functions of depth; may be repeated.", show_default=False),
    ] = None,
    num_basis: Annotated[
        list[int] | None,
        typer.Option(help="How many are kept; may be repeated.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """How few functions of depth are enough? Weights projected onto fewer, without training.

    Writes basis.json and a figure into the run directory.
    """
    from odenet.cli.finish import finish_basis
    from odenet.experiment.basis import analyse_basis

    found = analyse_basis(
        directory, overrides or [], split.value, checkpoint.value,
        [name.value for name in basis or []], num_basis or [], data_dir,
    )  # fmt: skip
    finish_basis(directory, found, json)
