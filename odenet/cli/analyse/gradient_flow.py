"""`odenet analyse gradient-flow`: the gradient from the last layer to the first."""

from enum import StrEnum
from typing import Annotated

import typer

from odenet.cli.analyse.options import At, Examples, Moment
from odenet.cli.evaluate import SplitName
from odenet.cli.options import DataDir, Json, Overrides, RunPath


class BatchStatistics(StrEnum):
    """What batch norms use."""

    live = "live"
    frozen = "frozen"


def command(
    directory: RunPath,
    overrides: Overrides = None,
    split: Examples = SplitName.train,
    at: At = Moment.last,
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
    from odenet.cli.finish import finish_instrument
    from odenet.experiment.gradient_flow import analyse_gradient_flow

    found = analyse_gradient_flow(
        directory, overrides or [], split.value, at.value, examples, factor_examples, threshold,
        None if batch_statistics is None else batch_statistics.value, data_dir,
    )  # fmt: skip
    finish_instrument("gradient-flow", directory, found, json)
