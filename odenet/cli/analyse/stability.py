"""`odenet analyse stability`: eigenvalues of the layers, the method's region, and growth."""

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
    examples: Annotated[int, typer.Option(help="Examples along whose paths it is measured.")] = 4,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Are the layers stable steps of their method, and how do perturbations grow over depth?

    Writes stability.json and a figure into the run directory, and its report again.
    """
    from odenet.cli.finish import finish_instrument
    from odenet.experiment.stability import analyse_stability

    found = analyse_stability(directory, overrides or [], split.value, at.value, examples, data_dir)
    finish_instrument("stability", directory, found, json)
