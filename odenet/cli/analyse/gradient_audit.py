"""`odenet analyse gradient-audit`: every adjoint against the exact gradient."""

from typing import Annotated

import typer

from odenet.cli.analyse.options import At, Examples, Moment
from odenet.cli.evaluate import SplitName
from odenet.cli.options import DataDir, Json, Overrides, RunPath


def command(
    directory: RunPath,
    overrides: Overrides = None,
    split: Examples = SplitName.train,
    at: At = Moment.last,
    examples: Annotated[
        int, typer.Option(help="Examples that the loss is averaged over, in one batch.")
    ] = 32,
    directions: Annotated[
        int, typer.Option(help="Random directions along which finite differences are taken.")
    ] = 3,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Every way to differentiate this network: error, time and memory.

    Writes gradient_audit.json and a figure into the run directory, and its report again.
    """
    from odenet.cli.finish import finish_instrument
    from odenet.experiment.gradient_audit import analyse_gradient_audit

    found = analyse_gradient_audit(
        directory, overrides or [], split.value, at.value, examples, directions, data_dir
    )
    finish_instrument("gradient-audit", directory, found, json)
