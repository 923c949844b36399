"""`odenet resume`: continue a run or a comparison."""

from typing import Annotated

import typer

from odenet.cli.evaluate import CheckpointName
from odenet.cli.options import DataDir, Json, Overrides, Quiet, RunPath


def command(
    directory: RunPath,
    overrides: Overrides = None,
    checkpoint: Annotated[
        CheckpointName,
        typer.Option(help="`best` continues from the best checkpoint if `last` is lost."),
    ] = CheckpointName.last,
    data_dir: DataDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Continue a run or comparison, with the same result as without the interruption.

    Overrides can set only devices (training.parallel.devices=2) and intervals of records.
    """
    from odenet.cli.finish import finish_comparison, finish_run
    from odenet.cli.output import progress_console
    from odenet.experiment.compare import resume_comparison
    from odenet.experiment.directory import is_comparison
    from odenet.experiment.run import resume

    console = progress_console(quiet or json)
    if is_comparison(directory):
        resume_comparison(directory, data_dir, console, overrides or [])
        finish_comparison(directory, json)
    else:
        trained = resume(
            directory, data_dir, console, which=checkpoint.value, overrides=overrides or []
        )
        finish_run(directory, trained.results, json)
