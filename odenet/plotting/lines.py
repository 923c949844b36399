"""Lines of a figure, each with its own colour, dash pattern and marker."""

from collections.abc import Sequence
from typing import Any

from odenet.plotting import canvas
from odenet.plotting.canvas import Axes


def line(
    axes: Axes,
    curve: Sequence[tuple[Any, Any]],
    index: int,
    label: str | None = None,
    most_marks: int = 60,
) -> None:
    """Draw one line through points, if there are any.

    Args:
        axes: Axes to draw on.
        curve: Points `(x, y)`, finite.
        index: Index of colour, dash pattern and marker.
        label: Name of the line in the legend.
        most_marks: A line of this many points or more has no markers.
    """
    if curve:
        axes.plot(
            *zip(*curve, strict=True), color=canvas.colour_of(index), ls=canvas.dashes_of(index),
            marker=canvas.marker_of(index), ms=4 if len(curve) < most_marks else 0, lw=1.5,
            label=label,
        )  # fmt: skip


def log_log(axes: Axes) -> None:
    """Make both axes logarithmic, with numbers written without powers."""
    axes.set_xscale("log")
    canvas.plain_numbers(axes, "x")
    canvas.logarithmic(axes)
