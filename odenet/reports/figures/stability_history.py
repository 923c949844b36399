"""Stability during training: over depth at several optimiser steps, and over all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Axes, Figure
from odenet.plotting.moments import moments, name_moments, panel

_TITLES = {
    "abscissa": "largest real part of the eigenvalues",
    "amplification": "amplification of the worst eigenvector",
}


@canvas.styled
def stability_history_figure(records: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Eigenvalues and amplification of every layer, and the critical factor of the step sizes.

    Args:
        records: The lines of `stability.jsonl`, oldest first. Of many lines, a few at equal
            distances are drawn over depth.

    Returns:
        The figure; None if there is no line.
    """
    if not records:
        return None
    shown = moments(records)
    figure = canvas.new_figure(10.0, 3.6)
    *over_depth, over_time = figure.subplots(1, 3)
    for axes, (key, title) in zip(over_depth, _TITLES.items(), strict=True):
        for index, record in enumerate(shown):
            _draw(axes, record["blocks"], key, index)
        axes.axhline(1.0 if key == "amplification" else 0.0, color=canvas.MUTED, lw=1, ls=":")
        panel(axes, title, "layer step, from the first to the last")
        canvas.whole_numbers(axes)
    _critical_scales(over_time, records)
    name_moments(figure, shown)
    return figure


def _draw(axes: Axes, blocks: Sequence[Mapping[str, Any]], key: str, index: int) -> None:
    first = 1
    for block in blocks:
        values = block.get(key, [])
        curve = [(first + i, value) for i, value in enumerate(values) if wording.is_number(value)]
        if curve:
            axes.plot(
                *zip(*curve, strict=True), color=canvas.colour_of(index), lw=1.5,
                ls=canvas.dashes_of(index), marker="." if len(curve) == 1 else None,
            )  # fmt: skip
        first += len(block["taus"])


def _critical_scales(axes: Axes, records: Sequence[Mapping[str, Any]]) -> None:
    for index in range(len(records[0]["blocks"])):
        # A block has no factor if its steps are not judged, or if every step size is stable.
        scales = [(one["step"], one["blocks"][index].get("critical_scale")) for one in records]
        curve = [(step, scale) for step, scale in scales if scale is not None]
        if curve:
            axes.plot(
                *zip(*curve, strict=True), color=canvas.INK, lw=1.5, ls=canvas.dashes_of(index),
                marker="o", ms=3, label=f"block {index + 1}",
            )  # fmt: skip
    axes.axhline(1.0, color=canvas.MUTED, lw=1, ls=":")
    panel(axes, "factor up to which all steps are stable", "step of the optimiser")
    if len(records[0]["blocks"]) > 1:
        axes.legend(fontsize=8)
