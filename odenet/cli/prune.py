"""`odenet prune`: remove the layers of small step sizes from a trained network."""

from pathlib import Path
from typing import Annotated

import typer

from odenet.cli.evaluate import CheckpointName
from odenet.cli.options import Json, Out, RunPath


def command(
    directory: RunPath,
    fraction: Annotated[
        float | None,
        typer.Option(
            help="Remove layers whose |tau| is below this fraction of the sum over their block; "
            "required.",
            show_default=False,
        ),
    ] = None,
    share: Annotated[float | None, typer.Option(hidden=True)] = None,
    out: Out = None,
    checkpoint: Annotated[
        CheckpointName, typer.Option(help="The last checkpoint, or the best on validation.")
    ] = CheckpointName.last,
    json: Json = False,
) -> None:
    """Remove layers of small learned step sizes; write a new run directory for fine-tuning."""
    removed_below = _fraction(fraction, share)
    from odenet.cli.finish import finish_prune
    from odenet.experiment.directory import default_directory
    from odenet.experiment.refinement.prune import prune

    out = out or default_directory(f"{Path(directory).resolve().name}-pruned")
    finish_prune(prune(directory, removed_below, out, checkpoint.value), json)


def _fraction(fraction: float | None, share: float | None) -> float:
    """The value of `--fraction`, or of its old spelling `--share`."""
    from odenet.part.old_keys import warn_of_old_key

    if share is not None:
        if fraction is not None:
            raise typer.BadParameter("--share is the old spelling of --fraction; give one of them")
        warn_of_old_key("--share", "--fraction")
        return share
    if fraction is None:
        raise typer.BadParameter("give --fraction, such as --fraction 0.02")
    return fraction
