"""`odenet analyse seeds`: runs or comparisons that differ in their seed alone, as one table."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from odenet.cli.options import Json
from odenet.narration import silence


def command(
    directories: Annotated[
        list[Path], typer.Argument(help="Run directories of runs or comparisons.", metavar="RUN...")
    ],
    json: Json = False,
) -> None:
    """Mean and standard deviation over seeds of what each network reached.

    Prints a table in Markdown, so that a file of results is what this command wrote.
    """
    from odenet.cli.output import print_json
    from odenet.experiment.over_seeds import read_over_seeds
    from odenet.reports import seeds_markdown

    seeds, found = read_over_seeds(directories)
    silence()
    if json:
        plain = {
            name: {key: dataclasses.asdict(spread) for key, spread in spreads.items()}
            for name, spreads in found.items()
        }
        print_json({"seeds": seeds, "networks": plain})
        return
    typer.echo(seeds_markdown(seeds, found))
