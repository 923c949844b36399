"""`odenet refine`: a trained network with more or fewer layers."""

import enum
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from odenet.cli.evaluate import CheckpointName
from odenet.cli.options import Json, Out, RunPath
from odenet.errors import ConfigError


class BasisName(enum.StrEnum):
    """Basis functions of depth."""

    piecewise_constant = "piecewise_constant"
    piecewise_linear = "piecewise_linear"
    legendre = "legendre"
    chebyshev = "chebyshev"
    fourier = "fourier"


class Prolongation(enum.StrEnum):
    """The rule for the weights of new layers."""

    constant = "constant"
    linear = "linear"


def command(
    directory: RunPath,
    factor: Annotated[
        str | None,
        typer.Option(
            help="Number of layers and steps as a multiple of the old: 2 halves every step, 1/2 "
            "merges pairs; 2 without other options.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        int | None,
        typer.Option(
            help="Number of steps of every block, instead of a factor.", show_default=False
        ),
    ] = None,
    num_basis: Annotated[
        int | None,
        typer.Option(
            help="Number of basis functions of depth for the weights.", show_default=False
        ),
    ] = None,
    basis: Annotated[
        BasisName | None,
        typer.Option(
            help="Basis functions of depth; without it, the present ones.", show_default=False
        ),
    ] = None,
    prolongation: Annotated[
        Prolongation,
        typer.Option(help="New layers copy the old one, or interpolate linearly to the next."),
    ] = Prolongation.constant,
    num_steps: Annotated[
        int | None,
        typer.Option(
            help="Optimiser steps of the new run, including those already taken, for resume.",
            show_default=False,
        ),
    ] = None,
    out: Out = None,
    checkpoint: Annotated[
        CheckpointName, typer.Option(help="The last checkpoint, or the best on validation.")
    ] = CheckpointName.last,
    json: Json = False,
) -> None:
    """Change the number of layers, or of basis functions of depth, of a trained network.

    Weights, step sizes, batch statistics and the moments of the optimiser are transferred.
    """
    from odenet.cli.finish import finish_refine
    from odenet.experiment.directory import default_directory
    from odenet.experiment.refinement.refine import refine

    if factor is None and to is None and num_basis is None:
        factor = "2"
    try:
        times = None if factor is None else Fraction(factor)
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError(f"--factor must be a number such as 2 or 1/2; got {factor!r}") from error
    out = out or default_directory(f"{Path(directory).resolve().name}-refined")
    found = refine(
        directory, times, out, prolongation.value, checkpoint.value, num_steps, to,
        None if basis is None else basis.value, num_basis,
    )  # fmt: skip
    finish_refine(found, json)
