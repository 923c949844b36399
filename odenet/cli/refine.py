"""`odenet refine`: a trained network in more layers or fewer."""

import enum
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from odenet.cli.evaluate import CheckpointName
from odenet.cli.options import Json, Out, RunPath
from odenet.errors import ConfigError


class BasisName(enum.StrEnum):
    """Functions of the depth."""

    piecewise_constant = "piecewise_constant"
    piecewise_linear = "piecewise_linear"
    legendre = "legendre"
    chebyshev = "chebyshev"
    fourier = "fourier"


class Prolongation(enum.StrEnum):
    """How the weights of new layers follow."""

    constant = "constant"
    linear = "linear"


def command(
    directory: RunPath,
    factor: Annotated[
        str | None,
        typer.Option(
            help="Layers and steps as a multiple of the old: 2 halves, 1/2 joins them; 2 where "
            "nothing else is asked.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        int | None,
        typer.Option(help="Steps of every block, in the place of a factor.", show_default=False),
    ] = None,
    num_basis: Annotated[
        int | None,
        typer.Option(
            help="Functions of depth that the weights become combinations of.", show_default=False
        ),
    ] = None,
    basis: Annotated[
        BasisName | None,
        typer.Option(help="Which functions; without it, those they are.", show_default=False),
    ] = None,
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
    """Take a trained network to another number of layers, or of functions of depth.

    Weights, step sizes, batch statistics and the optimiser's moments move together.
    """
    from odenet.cli.finish import finish_refine
    from odenet.experiment.directory import default_directory
    from odenet.experiment.refinement.refine import refine

    if factor is None and to is None and num_basis is None:
        factor = "2"
    try:
        times = None if factor is None else Fraction(factor)
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError(f"--factor is a number such as 2 or 1/2; got {factor!r}") from error
    out = out or default_directory(f"{Path(directory).resolve().name}-refined")
    found = refine(
        directory, times, out, prolongation.value, checkpoint.value, num_steps, to,
        None if basis is None else basis.value, num_basis,
    )  # fmt: skip
    finish_refine(found, json)
