"""`odenet analyse gradient-scaling`: the gradient at the input of networks of several depths."""

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
            help="Run directories that `odenet analyse gradient-flow` has measured.",
            metavar="RUN...",
        ),
    ],
    threshold: Annotated[
        float, typer.Option(help="Decades of change over the range of depths that count as none.")
    ] = 0.3,
    figure: Annotated[Path | None, typer.Option(help="PNG file to draw the norms into.")] = None,
    json: Json = False,
) -> None:
    """Does the gradient at the input stay the same when a network is made deeper?

    The runs of one network differ in the number of steps and in their seed alone.
    """
    from odenet.cli.output import print_json
    from odenet.experiment.gradient_scaling import gradient_scaling
    from odenet.reports import gradient_scaling_figure, gradient_scaling_table, png

    found = gradient_scaling(directories, threshold)
    if figure is not None:
        figure.write_bytes(png(gradient_scaling_figure(found)))
    silence()
    if json:
        print_json(found)
        return
    Console().print(gradient_scaling_table(found))
