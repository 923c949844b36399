"""Gradients at the input of networks over their depth, on logarithmic axes."""

from collections.abc import Mapping
from typing import Any

from odenet.reports.figures import canvas
from odenet.reports.figures.canvas import Axes, Figure
from odenet.reports.gradient_scaling import by_depth, geometric_mean

_TITLES = {
    "first": "gradient at the input, |dL/dY0|",
    "transport": "over that at the output, |dL/dY0| / |dL/dYN|",
}


@canvas.styled
def gradient_scaling_figure(found: Mapping[str, Any]) -> Figure:
    """The norm at the input, and its ratio to the norm at the output, by network.

    A line goes through the geometric means over seeds; every seed has a mark.

    Args:
        found: What `gradient_scaling` gives.
    """
    figure = canvas.new_figure(9.0, 3.8)
    panels = figure.subplots(1, len(_TITLES))
    for axes, (key, title) in zip(panels, _TITLES.items(), strict=True):
        for index, (name, network) in enumerate(found["networks"].items()):
            _curve(axes, index, name, network["runs"], key)
        depths = sorted(
            {run["num_steps"] for network in found["networks"].values() for run in network["runs"]}
        )
        axes.set_xscale("log")
        canvas.ticks(
            axes, "x", [float(depth) for depth in depths], [str(depth) for depth in depths]
        )
        canvas.logarithmic(axes)
        axes.set_xlabel("steps N")
        axes.set_title(title)
        axes.grid(True)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _curve(axes: Axes, index: int, name: str, runs: Any, key: str) -> None:
    colour, marker = canvas.colour_of(index), canvas.marker_of(index)
    means = {
        depth: geometric_mean([run[key] for run in of]) for depth, of in by_depth(runs).items()
    }
    known = {depth: mean for depth, mean in means.items() if mean is not None}
    axes.plot(
        list(known), list(known.values()), color=colour, marker=marker, ms=5, lw=1.5,
        ls=canvas.dashes_of(index), label=canvas.legible(name),
    )  # fmt: skip
    seeds = [(run["num_steps"], run[key]) for run in runs if run[key] is not None and run[key] > 0]
    if len(seeds) > len(known):
        axes.plot(*zip(*seeds, strict=True), color=colour, marker=marker, ms=3, ls="", alpha=0.5)
