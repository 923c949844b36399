"""What projecting a trained network onto fewer functions of depth gave: a table and a figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from odenet.experiment.directory import full_disk_named
from odenet.reports import wording
from odenet.reports.figures import basis_figure, png, svg
from odenet.reports.report import FIGURES


def basis_table(found: Mapping[str, Any]) -> Table:
    """One line for every family and number of functions.

    Args:
        found: What `basis.json` holds.
    """
    metric = "accuracy" if "accuracy" in found["as_trained"] else "loss"
    say = wording.percent if metric == "accuracy" else wording.decimal
    table = Table("basis", "functions", "parameters", f"{found['split']} {metric}", box=box.SIMPLE)

    def add(name: str, number: int, scores: Mapping[str, Any]) -> None:
        parameters = wording.count(scores["num_parameters"])
        table.add_row(name, str(number), parameters, say(scores[metric]))

    add("as trained", found["num_basis"], found["as_trained"])
    for curve in found["curves"]:
        for point in curve["points"]:
            add(curve["basis"], point["num_basis"], point)
    return table


def write_basis_figure(directory: Path, found: Mapping[str, Any]) -> Path:
    """Draw what was found into `figures/basis.png` and `.svg` of the run directory.

    Args:
        directory: The run directory.
        found: What `basis.json` holds.

    Returns:
        Path of the PNG file.

    Raises:
        RunDirectoryError: if the disk is full.
    """
    figure, folder = basis_figure(found), directory / FIGURES
    with full_disk_named(directory):
        folder.mkdir(exist_ok=True)
        (folder / "basis.svg").write_bytes(svg(figure))
        (folder / "basis.png").write_bytes(png(figure))
    return folder / "basis.png"
