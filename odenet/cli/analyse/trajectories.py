"""`odenet analyse trajectories`: the paths of examples through depth, and whether they cross."""

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
    examples: Annotated[int, typer.Option(help="Examples that are followed, two or more.")] = 64,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Where do the states go, and do their paths cross, as those of no ODE can?

    Writes trajectories.json and a figure into the run directory, and its report again.
    """
    from odenet.cli.finish import finish_instrument
    from odenet.experiment.trajectories import analyse_trajectories

    found = analyse_trajectories(
        directory, overrides or [], split.value, at.value, examples, data_dir
    )
    finish_instrument("trajectories", directory, found, json)
