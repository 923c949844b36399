"""Effective depth: steps, contributions, lesions and merged layers over depth."""

from collections.abc import Mapping, Sequence
from typing import Any

from odenet.reports.effective_depth import metric_of
from odenet.reports.figures import canvas
from odenet.reports.figures.canvas import Axes, Figure


@canvas.styled
def effective_depth_figure(found: Mapping[str, Any]) -> Figure | None:
    """Step sizes, contributions, scores without a layer, and scores with fewer and fewer layers.

    Args:
        found: What `effective_depth.json` holds.

    Returns:
        The figure; None if nothing was measured.
    """
    if not found:
        return None
    figure = canvas.new_figure(10.0, 6.4)
    (taus, adds), (lesions, removed) = figure.subplots(2, 2)
    metric, place = metric_of(found), 0
    for axes, title in ((taus, "step sizes"), (adds, "what a layer adds, relative to the state")):
        axes.set_title(title)
    for index, block in enumerate(found["blocks"]):
        layers = range(place, place + block["num_layers"])
        _line(taus, layers, block["taus"], 0)
        _line(adds, layers, block["contributions"], 0)
        _line(lesions, layers, block["left_out"][metric], 0, "left out", index)
        if block["merged"] is not None:
            _line(lesions, layers, block["merged"][metric], 1, "merged with the next", index)
        _line(removed, range(block["num_layers"]), block["removed"][metric], index,
              f"block {index + 1}", 0)  # fmt: skip
        place += block["num_layers"]
    whole, threshold = found["scores"][metric], found["threshold"]
    lowest = whole - threshold if metric == "accuracy" else whole * (1 + threshold)
    lesions.axhline(whole, color=canvas.MUTED, lw=0.8)
    lesions.set_title("without one layer, or with two merged")
    removed.axhline(lowest, color=canvas.GOOD, lw=1, ls=":", label="what counts as enough")
    removed.set_title("without the layers that cost least")
    for axes in (taus, adds, lesions):
        axes.set_xlabel("layer, from the first to the last")
        axes.set_xlim(-0.5, place - 0.5)
    removed.set_xlabel("layers taken out")
    for axes in (lesions, removed):
        axes.set_ylabel(metric)
        axes.legend(fontsize=8)
        if metric == "accuracy":
            canvas.percentages(axes)
    canvas.percentages(adds)
    _from_zero(taus)
    _from_zero(adds)
    for axes in (taus, adds, lesions, removed):
        canvas.whole_numbers(axes)
        axes.grid(axis="y")
    return figure


def _line(
    axes: Axes, xs: Sequence[int], ys: Sequence[float | None], index: int,
    label: str | None = None, number: int = 0,
) -> None:  # fmt: skip
    """One curve; of several blocks, the first carries the label."""
    curve = [(x, y) for x, y in zip(xs, ys, strict=False) if y is not None]
    if curve:
        axes.plot(
            *zip(*curve, strict=True), color=canvas.colour_of(index), ls=canvas.dashes_of(index),
            marker=canvas.marker_of(index), ms=4 if len(curve) < 60 else 0, lw=1.5,
            label=label if number == 0 else None,
        )  # fmt: skip


def _from_zero(axes: Axes) -> None:
    low, high = axes.get_ylim()
    room = 0.05 * (max(0.0, high) - min(0.0, low))
    axes.set_ylim(min(0.0, low - room), max(0.0, high + room))
