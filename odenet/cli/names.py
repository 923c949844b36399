"""`odenet names`: names of weight arrays, in this package and in files."""

from pathlib import Path
from typing import Annotated

import typer

from odenet.cli.options import DataDir, Json, Overrides
from odenet.cli.weights import Arch


def command(
    overrides: Overrides = None,
    arch: Arch = None,
    experiment: Annotated[
        Path | None,
        typer.Option("--experiment", help="Experiment file of the network, in place of --arch."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="File of weights whose arrays are listed.")
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """List the array names of a network and of a file, to write a map for import."""
    from odenet.cli.output import print_json
    from odenet.errors import ConfigError
    from odenet.experiment.weight_names import file_names, network_names

    found = {}
    if file is not None:
        found["file"] = file_names(file)
    if arch is not None or experiment is not None:
        found["network"] = network_names(arch, experiment, overrides or [], data_dir)
    if not found:
        raise ConfigError(
            "names are those of a network or of a file; give --arch, --experiment or --file"
        )
    if json:
        print_json(found)
        return
    # One line per array at any terminal width, for search and copy.
    for rows in found.values():
        for row in rows:
            typer.echo("  ".join(str(value) for value in row.values() if value not in (None, "")))
