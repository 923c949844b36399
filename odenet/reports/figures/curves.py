"""Training curves: metrics on training batches and on the validation data."""

from collections.abc import Mapping, Sequence
from typing import Any

from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Axes, Figure

_SPLITS = ("train", "validation")


@canvas.styled
def curves_figure(metrics: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure | None:
    """Loss and, for classifiers, accuracy against optimiser steps; one column for each split.

    Args:
        metrics: For every network the records of its `metrics.jsonl`.

    Returns:
        The figure; None if there is no record.
    """
    shown = [
        name
        for name in ("loss", "accuracy")
        if any(name in record for records in metrics.values() for record in records)
    ]
    if not shown:
        return None
    legend_rows = -(-len(metrics) // 3)
    figure = canvas.new_figure(10.0, 2.5 * len(shown) + 0.6 + 0.22 * legend_rows)
    grid = figure.subplots(len(shown), 2, sharex=True, sharey="row", squeeze=False)
    for metric, pair in zip(shown, grid, strict=True):
        for split, axes in zip(_SPLITS, pair, strict=True):
            _draw_curves(axes, metrics, metric, split)
        pair[0].set_ylabel(metric)
        _set_scale(pair[0], metric)
    for split, axes in zip(_SPLITS, grid[0], strict=True):
        axes.set_title({"train": "training batches", "validation": "validation data"}[split])
    for axes in grid[-1]:
        axes.set_xlabel("optimiser steps")
    handles = [
        canvas.Line2D([], [], color=canvas.colour_of(i), ls=canvas.dashes_of(i), lw=1.8)
        for i in range(len(metrics))
    ]
    if len(metrics) > 1:
        names = [canvas.legible(name) for name in metrics]
        figure.legend(handles, names, loc="outside lower center", ncols=min(3, len(names)))
    return figure


def _draw_curves(axes: Axes, metrics, metric: str, split: str) -> None:
    axes.grid()
    for index, records in enumerate(metrics.values()):
        curve = [
            (record["step"], record[metric])
            for record in records
            if record["split"] == split and wording.is_number(record.get(metric))
        ]
        if curve:
            # A single evaluation has no line; its marker still shows.
            axes.plot(
                *zip(*curve, strict=True), color=canvas.colour_of(index), lw=1.3, alpha=0.85,
                ls=canvas.dashes_of(index),
                marker=canvas.marker_of(index) if split == "validation" else None, ms=4,
            )  # fmt: skip


def _set_scale(axes: Axes, metric: str) -> None:
    if metric == "accuracy":
        canvas.percentages(axes)
        return
    values = [value for line in axes.get_shared_y_axes().get_siblings(axes)
              for curve in line.get_lines() for value in list(curve.get_ydata())]  # fmt: skip
    if values and min(values) > 0 and max(values) > 10 * min(values):
        axes.set_yscale("log")
        canvas.plain_numbers(axes, "y")
