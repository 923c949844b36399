"""What the commands print: people read stderr and tables, programs read one JSON object."""

import json
import sys
from typing import Any

from rich.console import Console

from odenet.experiment.directory import finite
from odenet.narration import narrator


def stderr(message: str) -> None:
    """Print lines for a person to stderr, as they are."""
    print(message, file=sys.stderr, flush=True)


def progress_console(quiet: bool) -> Console | None:
    """Where progress is shown: stderr, or nowhere."""
    if quiet:
        return None
    current = narrator()
    return Console(stderr=True) if current is None else current.console


def print_json(values: Any) -> None:
    """Print one JSON object to stdout."""
    print(json.dumps(finite(values), indent=1, allow_nan=False))
