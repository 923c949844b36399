"""Moments of a training, each with a colour and a line of its own in every panel of a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

from odenet.plotting import canvas
from odenet.plotting.canvas import Axes, Figure
from odenet.plotting.rows import evenly

_MOST_MOMENTS = 6


def moments(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Some of the records of a training at equal distances, first and last among them."""
    return [records[index] for index in evenly(len(records), _MOST_MOMENTS)]


def panel(axes: Axes, title: str, label: str) -> None:
    """Title, name of the horizontal axis, and lines across, as these figures have them."""
    axes.set_title(title, fontsize=8.5)
    axes.set_xlabel(label)
    axes.grid(axis="y")


def name_moments(figure: Figure, shown: Sequence[Mapping[str, Any]]) -> None:
    """Say below the panels which line is after how many steps of the optimiser."""
    handles = [
        canvas.Line2D([], [], color=canvas.colour_of(i), ls=canvas.dashes_of(i), lw=1.8)
        for i in range(len(shown))
    ]
    names = [f"step {record['step']:,}" for record in shown]
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))
