"""`odenet analyse basis`: how few functions of depth are enough."""

from typing import Annotated

import typer

from odenet.cli.evaluate import CheckpointName, SplitName
from odenet.cli.options import DataDir, Json, Overrides, RunPath
from odenet.cli.refine import BasisName


def command(
    directory: RunPath,
    overrides: Overrides = None,
    split: Annotated[SplitName, typer.Option(help="Which examples.")] = SplitName.test,
    checkpoint: Annotated[
        CheckpointName, typer.Option(help="The last weights, or the best on validation.")
    ] = CheckpointName.last,
    basis: Annotated[
        list[BasisName] | None,
        typer.Option(help="Functions of depth; may be repeated.", show_default=False),
    ] = None,
    num_basis: Annotated[
        list[int] | None,
        typer.Option(help="How many are kept; may be repeated.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """How few functions of depth are enough? Weights projected onto fewer, without training.

    Writes basis.json and a figure into the run directory.
    """
    from odenet.cli.finish import finish_basis
    from odenet.experiment.basis import analyse_basis

    found = analyse_basis(
        directory, overrides or [], split.value, checkpoint.value,
        [name.value for name in basis or []], num_basis or [], data_dir,
    )  # fmt: skip
    finish_basis(directory, found, json)
