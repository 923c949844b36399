"""Fall of accuracy under a near-exact solve, over the step size of training."""

from collections.abc import Mapping
from typing import Any

from odenet.reports.figures import canvas
from odenet.reports.figures.canvas import Figure


@canvas.styled
def critical_step_figure(found: Mapping[str, Any]) -> Figure:
    """One curve for every seed, and the band in which a network counts as an ODE.

    Args:
        found: What `critical_steps` gives.
    """
    figure = canvas.new_figure(6.0, 3.6)
    axes = figure.subplots()
    threshold = found["threshold"]
    axes.axhspan(-threshold, threshold, color=canvas.GOOD, alpha=0.1, lw=0, label="an ODE")
    for index, seed in enumerate(found["seeds"]):
        axes.plot(
            [one["largest_step"] for one in seed["trained"]],
            [one["fall"] for one in seed["trained"]],
            color=canvas.colour_of(index), marker=canvas.marker_of(index),
            ls=canvas.dashes_of(index), ms=4, lw=1.5, label=f"seed {seed['seed']}",
        )  # fmt: skip
    axes.set_xscale("log")
    canvas.plain_numbers(axes, "x")
    canvas.percentages(axes)
    axes.set_xlabel("step size of training")
    axes.set_ylabel("fall of accuracy under a near-exact solve")
    axes.grid(True)
    axes.legend(fontsize=8)
    return figure
