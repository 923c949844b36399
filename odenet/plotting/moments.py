"""Steps of a training, each with its own colour and line style in every panel of a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

from odenet.plotting import canvas
from odenet.plotting.canvas import Axes, Figure
from odenet.plotting.rows import evenly

_MOST_MOMENTS = 6


def moments(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A few records of a training at equal distances, including the first and the last."""
    return [records[index] for index in evenly(len(records), _MOST_MOMENTS)]


def panel(axes: Axes, title: str, label: str) -> None:
    """Set the title, the name of the horizontal axis, and a horizontal grid."""
    axes.set_title(title, fontsize=8.5)
    axes.set_xlabel(label)
    axes.grid(axis="y")


def name_moments(figure: Figure, shown: Sequence[Mapping[str, Any]]) -> None:
    """Draw a legend below the panels with the optimiser step of every line."""
    handles = [
        canvas.Line2D([], [], color=canvas.colour_of(i), ls=canvas.dashes_of(i), lw=1.8)
        for i in range(len(shown))
    ]
    names = [f"step {record['step']:,}" for record in shown]
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))
