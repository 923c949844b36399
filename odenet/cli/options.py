"""Arguments and options of several commands."""

from pathlib import Path
from typing import Annotated

import typer

from odenet.narration import silence

ExperimentFile = Annotated[Path, typer.Argument(help="Experiment file (YAML).", metavar="FILE")]
RunPath = Annotated[Path, typer.Argument(help="Run directory.", metavar="RUN")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        help="Values to set, such as training.num_steps=300 or model.block.integrator=diffrax; "
        "KEY+=VALUE appends to a list.",
        metavar="[KEY=VALUE]...",
        show_default=False,
    ),
]
Environment = Annotated[
    bool, typer.Option("--env", help="Allow ${oc.env:NAME} in the file to read the environment.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Run directory to create; without it, a new one below runs/."),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Folder of the published data sets; also $ODENET_DATA_DIR.",
        show_default=False,
    ),
]


def _quiet(asked: bool) -> bool:
    if asked:
        silence()
    return asked


Json = Annotated[
    bool, typer.Option("--json", callback=_quiet, help="Print one JSON object on stdout.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", callback=_quiet, help="Show no progress.")]
