"""The solver figure: does the accuracy depend on the solver?"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from odenet.analysis.compare import TRAINED
from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Axes, Figure
from odenet.reports.figures.panels import Panel, SolverAxis, label_of, read_panels

_WIDTH, _LEFT, _RIGHT = 10.0, 0.85, 0.25
_PLOT, _LEVEL, _TITLE, _LINE, _FOOT, _HEAD, _KEY = 1.35, 0.17, 0.5, 0.17, 0.45, 0.15, 0.85
_SIZE = 8.0
"""Sizes of the parts of the figure in inches, and font size of the names in points."""

_FAR = 30.0
"""Ratio of the largest to the smallest loss above which the axis is logarithmic."""


@canvas.styled
def solver_figure(comparison: Mapping[str, Any]) -> Figure | None:
    """Accuracy (for regression, loss) against the measured error of the solver, by network.

    Args:
        comparison: Contents of `comparison.json`.

    Returns:
        The figure; None if depth is time in no network.
    """
    panels, axis, end = read_panels(comparison, _WIDTH - _LEFT - _RIGHT, _SIZE)
    return _draw(panels, axis, end) if panels else None


def _height(panel: Panel) -> float:
    extra = (len(_reason(panel)) - 1) * _LINE
    return _TITLE + extra + (1 + max(panel.levels)) * _LEVEL + 0.1 + _PLOT + _FOOT


def _reason(panel: Panel) -> list[str]:
    """The reason of the verdict in lines of the figure's width."""
    reason = wording.verdict_reason(panel.verdict, panel.trained)
    return textwrap.wrap(canvas.legible(reason, len(reason)), 125) or [""]


def _draw(panels: Sequence[Panel], axis: SolverAxis, end: float) -> Figure:
    height = _HEAD + sum(_height(panel) for panel in panels) + _KEY
    figure = canvas.new_figure(_WIDTH, height, arrange=False)
    top = height - _HEAD
    limits = {metric: _limits(panels, metric) for metric in {panel.metric for panel in panels}}
    for panel in panels:
        bottom = top - _height(panel) + _FOOT
        axes = figure.add_axes(
            (
                _LEFT / _WIDTH,
                bottom / height,
                (_WIDTH - _LEFT - _RIGHT) / _WIDTH,
                _PLOT / height,
            )
        )
        axes.set_xlim(axis.first, end)
        _draw_range(axes, panel, *limits[panel.metric])
        _draw_ticks(axes, axis)
        _draw_points(axes, axis, panel)
        _draw_title(figure, panel, top / height, height)
        top -= _height(panel)
    figure.text(
        (_LEFT + (_WIDTH - _LEFT - _RIGHT) / 2) / _WIDTH,
        (_KEY - 0.1) / height,
        "←  coarser        error of the solver, relative to the reference solve        finer  →",
        ha="center",
        va="top",
    )
    _draw_key(figure, panels, height)
    return figure


def _draw_title(figure: Figure, panel: Panel, top: float, height: float) -> None:
    tone = canvas.TONES[wording.verdict_tone(panel.verdict)]
    name = wording.verdict_name(panel.verdict, panel.trained)
    left = 0.2 / _WIDTH
    title = f"{wording.verdict_mark(panel.verdict)}  {canvas.legible(panel.name)}: {name}"
    if wording.verdict_warning(panel.verdict):
        against = " and ".join(panel.verdict["disagreements"])
        title += f", by accuracy; {against} disagree{'s' if against == 'loss' else ''}"
    figure.text(left, top, title, color=tone, weight="bold", size=12, va="top")
    for number, line in enumerate(_reason(panel)):
        below = (0.23 + number * _LINE) / height
        figure.text(left, top - below, line, color=canvas.MUTED, size=9, va="top")


def _limits(panels: Sequence[Panel], metric: str) -> tuple[float, float]:
    """One vertical range for all panels, so that drops of accuracy can be compared by eye."""
    panels = [panel for panel in panels if panel.metric == metric]
    values = [value for panel in panels for value in panel.values] or [0.0]
    low, high = min(values), max(values)
    if metric == "accuracy":
        reach = [(p.trained["accuracy"], p.verdict["threshold"]) for p in panels]
        low = min(low, *(own - threshold for own, threshold in reach))
        high = max(high, *(min(1.0, own + threshold) for own, threshold in reach))
    elif low > 0 and high > _FAR * low:
        return low / 1.6, high * 1.6
    pad = 0.09 * (high - low) or 0.05 * abs(high) or 1.0
    return low - pad, high + pad


def _draw_range(axes: Axes, panel: Panel, low: float, high: float) -> None:
    """Draw the vertical axis and, for accuracies, the band of changes up to the threshold."""
    axes.set_ylabel(f"test {panel.metric}")
    axes.set_ylim(low, high)
    if panel.metric == "accuracy":
        own, threshold = panel.trained["accuracy"], panel.verdict["threshold"]
        axes.axhspan(own - threshold, own + threshold, color=panel.colour, alpha=0.13, lw=0)
        axes.axhline(own, color=panel.colour, lw=1, alpha=0.7)
        canvas.percentages(axes)
    elif low > 0 and high > _FAR * low:
        axes.set_yscale("log")
        canvas.plain_numbers(axes, "y")


def _draw_ticks(axes: Axes, axis: SolverAxis) -> None:
    first = math.ceil(axis.first if axis.unbounded is None else axis.unbounded + 0.5)
    step = max(1, round((axis.last - first) / 10))
    whole = range(first, math.floor(axis.last) + 1, step)
    positions, names = [float(k) for k in whole], [wording.power_of_ten(-k) for k in whole]
    positions, names = [*positions, axis.exact], [*names, "0: reference"]
    edges = [(axis.last + axis.exact) / 2]
    if axis.unbounded is not None:
        positions, names = [axis.unbounded, *positions], ["not finite", *names]
        edges.append((axis.unbounded + first) / 2)
    canvas.ticks(axes, "x", positions, names)
    axes.grid(axis="x")
    for edge in edges:
        axes.axvline(edge, color=canvas.MUTED, lw=0.8, ls=(0, (1, 3)))


def _draw_points(axes: Axes, axis: SolverAxis, panel: Panel) -> None:
    metric, bottom = panel.metric, axes.get_ylim()[0]
    for row, level in zip(panel.rows, panel.levels, strict=True):
        x, value = axis.place(row["solver_error"]), row[metric]
        y = value if wording.is_number(value) else bottom
        own = row["evaluated_with"] == TRAINED
        above = 1 + (0.12 + level * _LEVEL) / _PLOT
        top = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[1]
        axes.plot(
            [x, x], [top, above], color=canvas.MUTED, lw=0.5, alpha=0.7, clip_on=False,
            transform=axes.get_xaxis_transform(), zorder=1,
        )  # fmt: skip
        axes.text(
            x, above, " " + label_of(row, metric), size=_SIZE, va="center", clip_on=False,
            weight="bold" if own else "normal", transform=axes.get_xaxis_transform(),
            color=canvas.BAD if not row["solver_ok"] else canvas.INK,
        )  # fmt: skip
        failed = not row["solver_ok"] or not wording.is_number(value)
        _draw_point(axes, x, y, panel, own=own, failed=failed, tests=panel.is_finer(row))


def _draw_point(
    axes: Axes, x: float, y: float, panel: Panel, *, own: bool, failed: bool, tests: bool
) -> None:
    if failed:
        axes.plot(x, y, "x", color=canvas.BAD, ms=8, mew=2.2, clip_on=False, zorder=5)
    elif own:
        axes.plot(
            x, y, "*", color=panel.colour, mec=canvas.INK, ms=15, mew=0.8, clip_on=False, zorder=6
        )
    else:
        axes.plot(
            x, y, "o", color=panel.colour if tests else "white",
            mec=canvas.INK if tests else panel.colour, mew=0.7 if tests else 1.4, ms=7,
            clip_on=False, zorder=4,
        )  # fmt: skip


def _draw_key(figure: Figure, panels: Sequence[Panel], height: float) -> None:
    def sign(marker: str, **looks: Any) -> canvas.Line2D:
        return canvas.Line2D([], [], color=canvas.NEUTRAL, ls="", marker=marker, **looks)

    judged = any(panel.metric == "accuracy" for panel in panels)
    entries = [
        (sign("*", ms=13, mec=canvas.INK), "as trained"),
        (sign("o", ms=7, mec=canvas.INK), "finer solver" + ": a test" * judged),
        (sign("o", ms=7, mfc="white", mew=1.4), "not finer" + ": no test" * judged),
    ]
    if judged:
        band = canvas.Line2D([], [], color=canvas.NEUTRAL, alpha=0.25, lw=9)
        entries.append((band, " accuracy unchanged, to the threshold"))
    if any(not row["solver_ok"] for panel in panels for row in panel.rows):
        failed = canvas.Line2D([], [], color=canvas.BAD, ls="", marker="x", ms=8, mew=2.2)
        entries.append((failed, "solve failed"))
    figure.legend(
        *zip(*entries, strict=True), loc="lower center", ncols=len(entries),
        bbox_to_anchor=(0.5, 0.06 / height), columnspacing=1.6, handletextpad=0.5,
    )  # fmt: skip
