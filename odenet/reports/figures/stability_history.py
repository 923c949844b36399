"""Stability during training: over depth at several moments, and over the steps of the optimiser."""

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
    """Eigenvalues and amplification of every layer, and the factor that steps could be longer by.

    Args:
        records: The lines of `stability.jsonl`, oldest first; of many, some at equal distances.

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
    place = 1
    for block in blocks:
        values = block.get(key, [])
        curve = [(place + i, value) for i, value in enumerate(values) if wording.is_number(value)]
        if curve:
            axes.plot(
                *zip(*curve, strict=True), color=canvas.colour_of(index), lw=1.5,
                ls=canvas.dashes_of(index), marker="." if len(curve) == 1 else None,
            )  # fmt: skip
        place += len(block["taus"])


def _critical_scales(axes: Axes, records: Sequence[Mapping[str, Any]]) -> None:
    for index in range(len(records[0]["blocks"])):
        # What is not judged has no factor, and what no step size makes unstable has none either.
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
