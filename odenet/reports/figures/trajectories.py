"""Trajectories through depth: over time, or in a plane, with the field that they follow."""

from collections.abc import Mapping, Sequence
from typing import Any

from odenet.reports import wording
from odenet.reports.figures import canvas
from odenet.reports.figures.canvas import Axes, Figure

_MOST_CLASSES = 8


@canvas.styled
def trajectories_figure(found: Mapping[str, Any]) -> Figure | None:
    """A row for every block: its paths, the field at some depths, and crossings in every step.

    Args:
        found: What `trajectories.json` holds.

    Returns:
        The figure; None if nothing was followed.
    """
    if not found:
        return None
    blocks, colours = found["blocks"], _colours(found["targets"])
    columns = [2 + (len(block["fields"]) if block["size"] == 2 else 0) for block in blocks]
    figure = canvas.new_figure(10.0 if max(columns) < 5 else 13.0, 3.5 * len(blocks))
    rows = figure.subfigures(len(blocks), 1, squeeze=False)[:, 0]
    for number, (block, row, panels) in enumerate(zip(blocks, rows, columns, strict=True), start=1):
        axes = row.subplots(1, panels)
        _draw_paths(axes[0], block, colours)
        for panel, sample in zip(axes[1:-1], block["fields"], strict=block["size"] == 2):
            _draw_field(panel, block, sample, colours)
        _draw_crossings(axes[-1], block)
        if len(blocks) > 1:
            axes[0].set_title(f"block {number}: {axes[0].get_title()}")
    return figure


def _colours(targets: Sequence[wording.Number]) -> list[Any]:
    """A colour for every example: of its class, or of its value between the lowest and highest."""
    kinds = sorted(set(targets))
    if len(kinds) <= _MOST_CLASSES and all(float(kind).is_integer() for kind in kinds):
        return [canvas.colour_of(kinds.index(target)) for target in targets]
    low, spread = kinds[0], (kinds[-1] - kinds[0]) or 1.0
    return [canvas.depth_colours()((target - low) / spread) for target in targets]


def _draw_paths(axes: Axes, block: Mapping[str, Any], colours: Sequence[Any]) -> None:
    plane, size = block["plane"], block["size"]
    times = [block["times"][point] for point in block["points"]]
    for index, colour in enumerate(colours):
        path = [point[index] for point in plane]
        if size == 1:
            axes.plot(times, [state[0] for state in path], color=colour, lw=0.9, alpha=0.8)
            continue
        axes.plot(*zip(*path, strict=True), color=colour, lw=0.8, alpha=0.55)
        for state, area in ((path[0], 6), (path[-1], 22)):
            axes.scatter(*state, s=area, color=[colour], lw=0, zorder=3)
    if size == 1:
        _draw_slopes_over_time(axes, block)
        axes.set(xlabel="depth-time t", ylabel="state h", title="paths over depth")
        return
    axes.set_title("paths" if size == 2 else "paths, principal components")
    names = ("h₁", "h₂")
    if block["explained"] is not None:
        names = tuple(
            f"component {i} ({part:.0%})" for i, part in enumerate(block["explained"], start=1)
        )
    axes.set(xlabel=names[0], ylabel=names[1])


def _draw_slopes_over_time(axes: Axes, block: Mapping[str, Any]) -> None:
    starts, slopes = [], []
    for sample in block["fields"]:
        starts += [(sample["t"], place) for (place,) in sample["places"]]
        slopes += [slope for (slope,) in sample["slopes"]]
    if starts:
        canvas.directions(axes, starts, slopes)


def _draw_field(
    axes: Axes, block: Mapping[str, Any], sample: Mapping[str, Any], colours: Sequence[Any]
) -> None:
    x, y = zip(*sample["places"], strict=True)
    u, v = zip(*sample["slopes"], strict=True)
    axes.quiver(x, y, u, v, color=canvas.MUTED, alpha=0.8, width=0.006)
    # The kept point that is nearest to where this field acts.
    point = min(range(len(block["points"])), key=lambda i: abs(block["points"][i] - sample["step"]))
    states = block["plane"][point]
    axes.scatter(*zip(*states, strict=True), s=9, color=list(colours), lw=0, zorder=3)
    axes.set_title(f"field of step {sample['step'] + 1}, t = {sample['t']:.3g}")
    axes.set_xlabel("h₁")


def _draw_crossings(axes: Axes, block: Mapping[str, Any]) -> None:
    crossed, turned = block["crossings"], block["orientation"]
    numbers = crossed["in_step"]
    steps = range(1, len(numbers) + 1)
    axes.step(steps, numbers, where="mid", color=canvas.colour_of(5), label="crossing pairs")
    if turned is not None:
        axes.step(
            steps, turned["in_step"], where="mid", color=canvas.colour_of(0), ls="--",
            label="examples turned over",
        )  # fmt: skip
    axes.set_title(f"{crossed['pairs']} of {crossed['all_pairs']} pairs cross")
    axes.set_xlabel("step")
    others: list[int] = [] if turned is None else turned["in_step"]
    most = max(2, max(numbers, default=0), max(others, default=0))
    axes.set_ylim(-0.04 * most, 1.35 * most)
    axes.grid(axis="y")
    axes.legend(fontsize=8, loc="upper right")
    canvas.whole_numbers(axes, 8)
