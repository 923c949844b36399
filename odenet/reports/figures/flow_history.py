"""Gradient flow during training: norms over depth at several optimiser steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Axes, Figure
from odenet.plotting.moments import moments, name_moments, panel

_TITLES = {
    ("gradients", "norm"): "gradient of the states: ‖dL/dy‖",
    ("weights", "rms"): "gradient of the weights: root mean square",
    ("states", "std"): "activations: standard deviation",
}


@canvas.styled
def flow_history_figure(records: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Gradients of states and weights, and standard deviation of activations, at several steps.

    Args:
        records: The lines of `gradient_flow.jsonl`, oldest first. Of many lines, a few at equal
            distances are drawn.

    Returns:
        The figure; None if there is no line.
    """
    if not records:
        return None
    shown = moments(records)
    figure = canvas.new_figure(10.0, 3.6)
    for axes, (key, title) in zip(figure.subplots(1, 3), _TITLES.items(), strict=True):
        panel(axes, title, "layer, from the first to the last")
        for index, record in enumerate(shown):
            _draw(axes, record["blocks"], key, index)
        canvas.whole_numbers(axes)
        canvas.logarithmic(axes)
    name_moments(figure, shown)
    return figure


def _draw(
    axes: Axes, blocks: Sequence[Mapping[str, Any]], key: tuple[str, str], index: int
) -> None:
    kind, name = key
    position = 0
    for block in blocks:
        values, points = block[kind][name], len(block["states"]["std"])
        apart = (points - 1) // len(values) if kind == "weights" else 1
        first = position + (apart + 1) / 2 if kind == "weights" else position
        curve = [(first + i * apart, v) for i, v in enumerate(values) if wording.is_number(v)]
        if curve:
            axes.plot(
                *zip(*curve, strict=True), color=canvas.colour_of(index), lw=1.5,
                ls=canvas.dashes_of(index),
            )  # fmt: skip
        position += points
