"""`odenet analyse critical-step`: trainings at several step sizes, and where they are ODEs."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from odenet.cli.options import Json
from odenet.narration import silence


def command(
    directories: Annotated[
        list[Path],
        typer.Argument(
            help="Run directories that `odenet analyse convergence` has measured.", metavar="RUN..."
        ),
    ],
    figure: Annotated[
        Path | None, typer.Option(help="PNG file to draw the falls of accuracy into.")
    ] = None,
    json: Json = False,
) -> None:
    """At which step size of training does a network stop being an ODE? By seed.

    The runs differ in the number of steps and in their seed alone.
    """
    from odenet.cli.output import print_json
    from odenet.experiment.critical_step import critical_steps
    from odenet.reports import critical_step_figure, critical_step_table, png

    found = critical_steps(directories)
    if figure is not None:
        figure.write_bytes(png(critical_step_figure(found)))
    silence()
    if json:
        print_json(found)
        return
    Console().print(critical_step_table(found))
