"""Matrix of all pairs of a trained network and a solver of evaluation."""

from collections.abc import Mapping
from typing import Any

from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Axes, Figure

_CELL_WIDTH, _CELL_HEIGHT = 1.05, 0.32


@canvas.styled
def matrix_figure(comparison: Mapping[str, Any]) -> Figure:
    """Accuracy (for regression, loss) of every pair; one column per network, one row per solver.

    Args:
        comparison: Contents of `comparison.json`.
    """
    rows = comparison["rows"]
    networks = list(comparison["networks"])
    # In the order of the experiment file; a network may have only its own row.
    ways = list(dict.fromkeys(row["evaluated_with"] for row in rows))
    metric = "loss" if all(row["accuracy"] is None for row in rows) else "accuracy"
    found = {(row["trained_with"], row["evaluated_with"]): row for row in rows}
    names = [canvas.legible(name) for name in networks]
    left = max(canvas.text_width(canvas.legible(way), 9.0) for way in ways)
    longest = max(canvas.text_width(name, 9.0) for name in names)
    slant = longest > _CELL_WIDTH - 0.1
    # A slanted name is about half its length high, and nearly its length wide.
    figure = canvas.new_figure(
        left + 1.0 + _CELL_WIDTH * len(networks) + max(1.6, 0.9 * longest * slant),
        1.0 + _CELL_HEIGHT * len(ways) + 0.6 * longest * slant,
    )
    axes = figure.add_subplot()
    _draw_cells(axes, found, networks, ways, metric)
    axes.set_xlim(0, len(networks))
    axes.set_ylim(len(ways), 0)
    canvas.ticks(axes, "y", [i + 0.5 for i in range(len(ways))], map(canvas.legible, ways))
    canvas.ticks(axes, "x", [i + 0.5 for i in range(len(networks))], names)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    if slant:
        for label in axes.get_xticklabels():
            label.set(rotation=30, ha="left", rotation_mode="anchor")
    axes.spines[:].set_visible(False)
    axes.set_ylabel("evaluated with")
    failed = any(not row["solver_ok"] for row in rows)
    note = "; ✗ and hatching: a solve that failed" if failed else ""
    axes.set_xlabel(f"trained with (in the cells: test {metric}{note})")
    axes.xaxis.set_label_position("bottom")
    return figure


def _draw_cells(axes: Axes, found, networks: list[str], ways: list[str], metric: str) -> None:
    values = [
        row[metric] for row in found.values() if row["solver_ok"] and wording.is_number(row[metric])
    ] or [0.0]
    # The colours span at least 0.1, so that noise of a percent does not look significant.
    high = max(values)
    low = min([*values, high - 0.1]) if metric == "accuracy" else min(values)
    span = high - low
    colours = canvas.pale()
    for column, network in enumerate(networks):
        for line, way in enumerate(ways):
            row = found.get((network, way))
            centre = (column + 0.5, line + 0.5)
            if row is None:
                axes.text(*centre, wording.NONE, ha="center", va="center", color=canvas.MUTED)
                continue
            value = row[metric]
            number = wording.percent(value) if metric == "accuracy" else wording.decimal(value)
            good = 0.0
            if wording.is_number(value):
                part = (value - low) / span if span else 0.0
                good = part if metric == "accuracy" else 1.0 - part
            failed = not row["solver_ok"]
            axes.add_patch(
                canvas.cell(column, line, "white" if failed else colours(good), hatched=failed)
            )
            axes.text(
                *centre, f"✗ {number}" if failed else number, ha="center", va="center",
                color=canvas.BAD if failed else canvas.INK, weight="bold" if failed else "normal",
            )  # fmt: skip
