"""`odenet analyse steps-to-reach`: how many steps each run took to an accuracy."""

from pathlib import Path
from typing import Annotated

import typer

from odenet.cli.options import Json


def command(
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
