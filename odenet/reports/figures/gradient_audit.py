"""The audit of gradients: error, time and memory of every way back."""

from collections.abc import Mapping
from typing import Any

from odenet.reports import wording
from odenet.reports.figures import canvas
from odenet.reports.figures.canvas import Axes, Figure


@canvas.styled
def gradient_audit_figure(found: Mapping[str, Any]) -> Figure | None:
    """One row for every way to differentiate the network, in three panels.

    Args:
        found: What `gradient_audit.json` holds.

    Returns:
        The figure; None if nothing was measured.
    """
    if not found:
        return None
    rows = found["gradients"]
    figure = canvas.new_figure(10.0, 1.4 + 0.38 * len(rows))
    errors, times, memory = figure.subplots(1, 3, sharey=True, width_ratios=(1.4, 1, 1))
    _draw_errors(errors, rows)
    _draw_bars(times, rows, "seconds", "time", wording.seconds)
    _draw_bars(memory, rows, "peak_bytes", "memory", wording.size)
    names = [row["name"] + (" (own)" if row["name"] in found["own"] else "") for row in rows]
    canvas.ticks(errors, "y", map(float, range(len(rows))), names)
    errors.invert_yaxis()
    return figure


def _draw_errors(axes: Axes, rows: list[Mapping[str, Any]]) -> None:
    parts = (("weights_error", "weights"), ("step_sizes_error", "tau"), ("inputs_error", "inputs"))
    for index, (key, label) in enumerate(parts):
        marks = [(row[key], y) for y, row in enumerate(rows) if _positive(row[key])]
        if marks:
            axes.plot(
                *zip(*marks, strict=True), color=canvas.colour_of(index), ls="",
                marker=canvas.marker_of(index), ms=6, label=label,
            )  # fmt: skip
    axes.set_xscale("log")
    canvas.powers_of_ten(axes)
    axes.set_title("error, relative to the exact gradient")
    axes.grid(True)
    axes.legend(fontsize=8)


def _draw_bars(axes: Axes, rows: list[Mapping[str, Any]], key: str, title: str, say: Any) -> None:
    values = [row[key] or 0 for row in rows]
    axes.barh(range(len(rows)), values, color=canvas.colour_of(4), height=0.6)
    for y, row in enumerate(rows):
        axes.annotate(
            say(row[key]), (values[y], y), xytext=(4, 0), textcoords="offset points", va="center",
            fontsize=8,
        )  # fmt: skip
    axes.set_title(title)
    axes.set_xlim(0, 1.35 * (max(values) or 1))
    canvas.ticks(axes, "x", [], [])


def _positive(value: Any) -> bool:
    return wording.is_number(value) and value > 0
