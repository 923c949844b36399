"""`odenet refine`: a trained network in more layers or fewer."""

import enum
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from odenet.cli.evaluate import CheckpointName
from odenet.cli.options import Json, Out, RunPath
from odenet.errors import ConfigError


class Prolongation(enum.StrEnum):
    """How the weights of new layers follow."""

    constant = "constant"
    linear = "linear"


def command(
    directory: RunPath,
    factor: Annotated[
        str,
        typer.Option(help="Layers and steps as a multiple of the old: 2 halves, 1/2 joins them."),
    ] = "2",
    prolongation: Annotated[
        Prolongation,
        typer.Option(help="New layers copy their old one, or lie on the line to the next."),
    ] = Prolongation.constant,
    num_steps: Annotated[
        int | None,
        typer.Option(
            help="Optimiser steps of the new run, done ones among them; resume trains on to there.",
            show_default=False,
        ),
    ] = None,
    out: Out = None,
    checkpoint: Annotated[
        CheckpointName, typer.Option(help="The last weights, or the best on validation.")
    ] = CheckpointName.last,
    json: Json = False,
) -> None:
    """Divide or join the layers of a trained network, with its optimiser's moments."""
    from odenet.cli.finish import finish_refine
    from odenet.experiment.directory import default_directory
    from odenet.experiment.refine import refine

    try:
        times = Fraction(factor)
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError(f"--factor is a number such as 2 or 1/2; got {factor!r}") from error
    out = out or default_directory(f"{Path(directory).resolve().name}-refined")
    found = refine(directory, times, out, prolongation.value, checkpoint.value, num_steps)
    finish_refine(found, json)
