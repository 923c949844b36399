"""`odenet import` and `odenet export`: weights from and for other frameworks."""

from pathlib import Path
from typing import Annotated

import typer

from odenet.cli.evaluate import CheckpointName
from odenet.cli.options import DataDir, Json, Overrides, RunPath

Arch = Annotated[
    str | None,
    typer.Option("--arch", help="Published network, such as resnet20 or resnet50."),
]


def import_command(
    file: Annotated[
        Path,
        typer.Argument(help="File of PyTorch, safetensors or Flax (msgpack).", metavar="WEIGHTS"),
    ],
    out: Annotated[Path, typer.Option("--out", help="Run directory to create.")],
    overrides: Overrides = None,
    arch: Arch = None,
    experiment: Annotated[
        Path | None,
        typer.Option("--experiment", help="Experiment file of the network, in place of --arch."),
    ] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", help="YAML file that maps the array names of WEIGHTS.")
    ] = None,
    which: Annotated[
        str | None,
        typer.Option(
            "--set", help="Set of weights in WEIGHTS, such as ema_state_dict, or a prefix of names."
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="List every array that does not fit.")
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Create a run directory from a file of weights, for evaluation and further training."""
    from odenet.cli.output import print_json, stderr
    from odenet.experiment.import_weights import import_weights

    made = import_weights(
        file, out, arch, experiment, map_file, overrides or [], data_dir, which, verbose
    )
    if json:
        about = {"directory": str(out), "num_parameters": made.num_parameters}
        print_json(about | {"notes": list(made.notes)})
        return
    for note in made.notes:
        stderr(f"note: {note}")
    if made.config.data.kind == "absent":
        typer.echo(f"{made.num_parameters} parameters: {out}")
        return
    typer.echo(f"{made.num_parameters} parameters; evaluate them with: odenet eval {out}")


def export_command(
    directory: RunPath,
    file: Annotated[Path, typer.Argument(help="Safetensors file to write.", metavar="WEIGHTS")],
    overrides: Overrides = None,
    checkpoint: Annotated[
        CheckpointName, typer.Option(help="The last checkpoint, or the best on validation.")
    ] = CheckpointName.last,
    arch: Arch = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Write the weights of a run as safetensors, by odenet's or published array names."""
    from odenet.cli.output import print_json
    from odenet.experiment.export_weights import export_weights

    count = export_weights(directory, file, checkpoint.value, arch, data_dir, overrides or [])
    if json:
        print_json({"file": str(file), "num_arrays": count})
        return
    typer.echo(f"{count} arrays: {file}")
