"""Output of the commands: messages on stderr and tables for people, JSON for programs."""

import json
import sys
from typing import Any

from rich.console import Console

from odenet.experiment.directory import finite
from odenet.narration import narrator


def stderr(message: str) -> None:
    """Print a message to stderr."""
    print(message, file=sys.stderr, flush=True)


def progress_console(quiet: bool) -> Console | None:
    """The console for progress on stderr, or None if `quiet`."""
    if quiet:
        return None
    current = narrator()
    return Console(stderr=True) if current is None else current.console


def print_json(values: Any) -> None:
    """Print one JSON object to stdout."""
    print(json.dumps(finite(values), indent=1, allow_nan=False))
