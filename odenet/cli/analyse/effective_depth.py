"""`odenet analyse effective-depth`: how many of its layers a network uses."""

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
        int, typer.Option(help="Examples that scores are averaged over, in one batch.")
    ] = 1000,
    threshold: Annotated[
        float,
        typer.Option(
            help="Fall of the accuracy (of a regression, relative rise of the loss) that fewer "
            "layers may cost."
        ),
    ] = 0.01,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """What does every layer add, what does its loss cost, and how many are needed?

    Writes effective_depth.json and a figure into the run directory, and its report again.
    """
    from odenet.cli.finish import finish_instrument
    from odenet.experiment.effective_depth import analyse_effective_depth

    found = analyse_effective_depth(
        directory, overrides or [], split.value, at.value, examples, threshold, data_dir
    )
    finish_instrument("effective-depth", directory, found, json)
