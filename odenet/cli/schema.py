"""`odenet schema`: the JSON schema of experiment files."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; without it, stdout.")
    ] = None,
) -> None:
    """Print the JSON schema of experiment files, for completion in editors."""
    from odenet.experiment.config import json_schema

    if out is None:
        print(json_schema(), end="")
    else:
        out.write_text(json_schema())
