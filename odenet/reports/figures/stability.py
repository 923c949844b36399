"""Stability over depth: eigenvalues in the region of the method, abscissa, and growth."""

from collections.abc import Mapping, Sequence
from typing import Any

from odenet.reports import wording
from odenet.reports.figures import canvas
from odenet.reports.figures.canvas import Axes, Figure


@canvas.styled
def stability_figure(found: Mapping[str, Any]) -> Figure | None:
    """A row for every block: eigenvalues, spectral abscissa with logarithmic norm, and growth.

    Args:
        found: What `stability.json` holds.

    Returns:
        The figure; None if nothing was measured.
    """
    if not found:
        return None
    blocks = found["blocks"]
    figure = canvas.new_figure(10.0, 3.5 * len(blocks))
    for number, (row, block) in enumerate(
        zip(figure.subplots(len(blocks), 3, squeeze=False), blocks, strict=True), start=1
    ):
        plane, depth, growth = row
        _draw_plane(figure, plane, block)
        _draw_depth(depth, block)
        _draw_growth(growth, block)
        if len(blocks) > 1:
            plane.set_title(f"block {number}: {plane.get_title()}")
    return figure


def _draw_plane(figure: Figure, axes: Axes, block: Mapping[str, Any]) -> None:
    steps = block["steps"]
    name = "τ²λ" if steps is not None and steps["region"]["power"] == 2 else "τλ"
    axes.set_title(f"{name} of every step")
    axes.set_xlabel(f"Re {name}")
    axes.set_ylabel(f"Im {name}")
    reach: list[float] = []
    if steps is not None:
        region = steps["region"]
        canvas.shaded_below_one(axes, region["real"], region["imaginary"], region["amplification"])
        limit = region["axis_limit"]
        reach = [min(limit or 0.0, 3.0)]
        if limit is not None and limit > 0.1:
            x, y = ([-limit, 0], [0, 0]) if region["power"] == 2 else ([0, 0], [-limit, limit])
            axes.plot(x, y, color=canvas.GOOD, lw=5, alpha=0.35, solid_capstyle="butt")
    for line in (axes.axhline, axes.axvline):
        line(0, color=canvas.MUTED, lw=0.8)
    depths, real, imaginary = [], [], []
    for step, (re, im) in enumerate(block["products"], start=1):
        for x, y in zip(re, im, strict=True):
            if wording.is_number(x) and wording.is_number(y):
                depths.append(step)
                real.append(x)
                imaginary.append(y)
    marks = axes.scatter(
        real, imaginary, c=depths, cmap=canvas.depth_colours(), s=10, vmin=1,
        vmax=max(2, len(block["products"])), lw=0, zorder=3,
    )  # fmt: skip
    bar = figure.colorbar(marks, ax=axes, shrink=0.8, aspect=30, pad=0.02)
    bar.set_label("step")
    _zoom(axes, real, [*imaginary, *reach])


def _zoom(axes: Axes, real: Sequence[float], imaginary: Sequence[float]) -> None:
    """Show all marks, the origin, and enough around them to see the region's rim."""
    height = max([1.4, *(1.15 * abs(y) for y in imaginary)])
    left, right = min([-2.4, *(1.15 * x for x in real)]), max([0.4, *(1.15 * x for x in real)])
    # A circle is to look like one: the shorter side is widened.
    spare = max(0.0, 2 * height - (right - left)) / 2
    axes.set_xlim(left - spare, right + spare)
    axes.set_ylim(-height, height)
    axes.set_aspect("equal", adjustable="box")


def _draw_depth(axes: Axes, block: Mapping[str, Any]) -> None:
    axes.set_title("Jacobian of the field")
    axes.set_xlabel("step, from the first to the last")
    axes.axhline(0, color=canvas.MUTED, lw=0.8)
    _line(axes, 1, block["log_norm"]["largest"], 1, "logarithmic norm μ₂")
    _line(axes, 1, block["abscissa"]["largest"], 0, "largest Re λ")
    axes.grid(axis="y")
    canvas.whole_numbers(axes, 8)
    axes.legend(fontsize=8)


def _draw_growth(axes: Axes, block: Mapping[str, Any]) -> None:
    axes.set_title("growth of a perturbation ‖δy‖ / ‖δy₀‖")
    axes.set_xlabel("point, from the first state to the last")
    growth = block["growth"]
    if growth is None:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center")
        return
    _line(axes, 0, growth["largest"]["largest"], 1, "at most")
    _line(axes, 0, growth["typical"]["mean"], 0, "random direction")
    if growth["smallest"] is not None:
        _line(axes, 0, growth["smallest"]["mean"], 2, "at least")
    axes.axhline(1, color=canvas.MUTED, lw=0.8)
    axes.grid(axis="y")
    canvas.whole_numbers(axes, 8)
    canvas.logarithmic(axes)
    axes.legend(fontsize=8)


def _line(axes: Axes, first: int, values: Sequence[float | None], index: int, label: str) -> None:
    curve = [(first + i, v) for i, v in enumerate(values) if wording.is_number(v)]
    if curve:
        axes.plot(
            *zip(*curve, strict=True), color=canvas.colour_of(index), ls=canvas.dashes_of(index),
            marker=canvas.marker_of(index), ms=4 if len(curve) < 40 else 0, lw=1.5, label=label,
        )  # fmt: skip
