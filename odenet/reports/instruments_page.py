"""One page with the results of all instruments on a run."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from odenet.experiment.directory import RunDirectory, full_disk_named
from odenet.instruments.every import Every
from odenet.instruments.table import find, question
from odenet.reports.contents import RunContents, read_contents
from odenet.reports.html import instruments_page, picture_of

PAGE = "instruments.html"


def write_instruments_page(directory: Path, every: Every) -> Path:
    """Write `instruments.html`, a self-contained page, into a run directory.

    Args:
        directory: The directory of a run.
        every: The results of the instruments, and the reasons of those that do not apply.

    Returns:
        Path of the page.

    Raises:
        RunDirectoryError: if the directory cannot be read, or the disk is full.
    """
    contents = read_contents(directory)
    assert isinstance(contents, RunContents)
    measured = [_measured(name, found) for name, found in every.results.items()]
    with full_disk_named(directory):
        page = instruments_page(contents, measured, every.reasons)
        RunDirectory(directory).write_text(PAGE, page)
    return directory / PAGE


def _measured(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    instrument = find(name)
    figure = instrument.figure(found)
    key = instrument.key()
    picture = figure and picture_of(key, figure, instrument.alt, instrument.caption)
    return {
        "name": name,
        "question": question(name),
        "sentences": instrument.sentences(found),
        "picture": picture,
        "table": _text(instrument.table(found)),
        "provenance": _in_words(found["provenance"]),
    }


def _text(table: Any) -> str:
    """A table as plain text."""
    console = Console(file=io.StringIO(), width=120, record=True, color_system=None)
    console.print(table)
    return console.export_text().rstrip()


def _in_words(provenance: Mapping[str, Any]) -> str:
    """Data, checkpoint, options, rule and versions of a measurement, in one line."""
    at = provenance["at"]
    options = {
        key: value for key, value in provenance["options"].items() if value not in (None, [])
    }
    said = [
        f"{provenance['split']} examples",
        f"{'weights at the start' if at == 'start' else f'{at} checkpoint'}",
        f"step {provenance['step']:,}",
        *(f"{key}={value}" for key, value in provenance["overrides"].items()),
        *(f"{key} {value}" for key, value in options.items()),
    ]
    rule = provenance["rule"]
    versions = f"odenet {provenance['odenet']}, jax {provenance['jax']}"
    return "; ".join([", ".join(said), *([f"rule: {rule}"] if rule else []), versions])
