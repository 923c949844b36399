"""`odenet analyse convergence`: order, cost, and where a network is an ODE."""

from enum import StrEnum
from typing import Annotated

import typer

from odenet.cli.analyse.options import At, Examples, Moment
from odenet.cli.evaluate import SplitName
from odenet.cli.options import DataDir, Json, Overrides, RunPath


class Solver(StrEnum):
    """The solvers that a network is compared under."""

    none = "none"
    euler = "euler"
    midpoint = "midpoint"
    rk4 = "rk4"
    dopri5 = "dopri5"


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
    solver: Annotated[
        list[Solver] | None,
        typer.Option(
            help="A solver to measure beside the network's own; may be repeated. Without it, all; "
            "with none, the own one alone."
        ),
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Halve the steps, exchange the solver: at which order and cost, and is the network an ODE?

    Writes convergence.json and a figure into the run directory, and its report again.
    """
    from odenet.cli.finish import finish_instrument
    from odenet.experiment.convergence import analyse_convergence

    chosen = solver or [one for one in Solver if one != Solver.none]
    solvers = [one.value for one in chosen if one != Solver.none]
    found = analyse_convergence(
        directory, overrides or [], split.value, at.value, examples, finest, threshold, solvers,
        data_dir,
    )  # fmt: skip
    finish_instrument("convergence", directory, found, json)
