"""Accuracy against cost: field evaluations and time of a batch."""

from collections.abc import Mapping
from typing import Any

from odenet.analysis.compare import TRAINED
from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Axes, Figure

_COSTS = {
    "nfe": ("field evaluations for a batch (NFE)", 1.0),
    "step_seconds": ("time of a batch, forward (milliseconds)", 1e3),
}


@canvas.styled
def cost_figure(comparison: Mapping[str, Any]) -> Figure:
    """Accuracy (for regression, loss) against field evaluations and against time.

    Args:
        comparison: Contents of `comparison.json`.
    """
    networks = list(comparison["networks"])
    rows = [row for row in comparison["rows"] if row["solver_ok"]]
    metric = "loss" if all(row["accuracy"] is None for row in rows) else "accuracy"
    figure = canvas.new_figure(10.0, 3.4 + 0.22 * -(-(len(networks) + 1) // 3))
    for axes, cost in zip(figure.subplots(1, 2, sharey=True), _COSTS, strict=True):
        label, unit = _COSTS[cost]
        axes.grid()
        for index, network in enumerate(networks):
            own = [row for row in rows if row["trained_with"] == network]
            _draw_network(axes, own, index, cost, unit, metric)
        axes.set_xlabel(label)
        axes.set_xscale("log")
        canvas.plain_numbers(axes, "x")
        if cost == "nfe":
            axes.set_ylabel(f"test {metric}")
    if metric == "accuracy":
        canvas.percentages(figure.axes[0])
    handles = [
        canvas.Line2D([], [], color=canvas.colour_of(i), marker=canvas.marker_of(i), ls="", ms=6)
        for i in range(len(networks))
    ]
    star = canvas.Line2D([], [], color=canvas.NEUTRAL, marker="*", mec=canvas.INK, ms=13, ls="")
    names = [canvas.legible(name) for name in networks]
    figure.legend(
        [*handles, star], [*names, "as trained"], loc="outside lower center",
        ncols=min(3, len(names) + 1),
    )  # fmt: skip
    return figure


def _draw_network(axes: Axes, rows, index: int, cost: str, unit: float, metric: str) -> None:
    colour = canvas.colour_of(index)
    rows = [row for row in rows if wording.is_number(row[metric]) and row[cost] > 0]
    x, y = [row[cost] * unit for row in rows], [row[metric] for row in rows]
    # No line between the points: the evaluations have no order.
    axes.plot(x, y, color=colour, marker=canvas.marker_of(index), ms=6, ls="", alpha=0.75)
    for row in rows:
        if row["evaluated_with"] == TRAINED:
            axes.plot(
                row[cost] * unit, row[metric], "*", color=colour, mec=canvas.INK, ms=14, zorder=4
            )
