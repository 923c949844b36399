"""`odenet prune`: a trained network without its layers of small step sizes."""

from pathlib import Path
from typing import Annotated

import typer

from odenet.cli.evaluate import CheckpointName
from odenet.cli.options import Json, Out, RunPath


def command(
    directory: RunPath,
    share: Annotated[
        float,
        typer.Option(help="Layers whose |tau| is a smaller part of their block's sum are removed."),
    ],
    out: Out = None,
    checkpoint: Annotated[
        CheckpointName, typer.Option(help="The last weights, or the best on validation.")
    ] = CheckpointName.last,
    json: Json = False,
) -> None:
    """Remove layers of small learned step sizes into a new run directory, to fine-tune from."""
    from odenet.cli.finish import finish_prune
    from odenet.experiment.directory import default_directory
    from odenet.experiment.refinement.prune import prune

    out = out or default_directory(f"{Path(directory).resolve().name}-pruned")
    finish_prune(prune(directory, share, out, checkpoint.value), json)
