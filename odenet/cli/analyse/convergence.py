"""`odenet analyse convergence`: order, cost, and where a network is an ODE."""

from typing import Annotated

import typer

from odenet.cli.analyse.options import At, Examples, Moment
from odenet.cli.evaluate import SplitName
from odenet.cli.options import DataDir, Json, Overrides, RunPath


def command(
    directory: RunPath,
    overrides: Overrides = None,
    split: Examples = SplitName.test,
    at: At = Moment.last,
    examples: Annotated[
        int, typer.Option(help="Examples that errors, accuracies and times are measured on.")
    ] = 1000,
    finest: Annotated[
        int, typer.Option(help="Largest multiple of the network's own steps, a power of 2.")
    ] = 16,
    threshold: Annotated[
        float, typer.Option(help="Largest change of accuracy that counts as none.")
    ] = 0.1,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Halve the steps, exchange the solver: at which order and cost, and is the network an ODE?

    Writes convergence.json and a figure into the run directory, and its report again.
    """
    from odenet.cli.finish import finish_instrument
    from odenet.experiment.convergence import analyse_convergence

    found = analyse_convergence(
        directory, overrides or [], split.value, at.value, examples, finest, threshold, data_dir
    )
    finish_instrument("convergence", directory, found, json)
