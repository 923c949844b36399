"""Gradient flow over depth: norms, factors, and the spread of activations."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from odenet.reports import wording
from odenet.reports.figures import canvas
from odenet.reports.figures.canvas import Axes, Figure

Curve = Sequence[wording.Number | None]

_TONES = {"healthy": "good", "vanishing": "bad", "exploding": "bad"}


@canvas.styled
def gradient_flow_figure(found: Mapping[str, Any]) -> Figure | None:
    """Gradient norms of states and weights, singular values of factors, spread of activations.

    Args:
        found: What `gradient_flow.json` holds.

    Returns:
        The figure; None if nothing was measured.
    """
    if not found:
        return None
    figure = canvas.new_figure(10.0, 6.6)
    (states, weights), (factors, spread) = figure.subplots(2, 2)
    starts = _starts(found["blocks"])
    _draw_states(states, found, starts)
    _draw_weights(weights, found, starts)
    _draw_factors(factors, found, starts)
    _draw_spread(spread, found, starts)
    ends = [starts[i] + len(b["states"]["std"]) - 1 for i, b in enumerate(found["blocks"])]
    for axes in (states, weights, factors, spread):
        axes.grid(axis="y")
        axes.set_xlim(-0.5, ends[-1] + 0.5)
        axes.set_xlabel("layer, from the first to the last")
        canvas.whole_numbers(axes)
        for start in starts[1:]:
            axes.axvline(start - 0.5, color=canvas.MUTED, lw=0.8, ls=(0, (1, 3)))
    return figure


def _starts(blocks: Sequence[Mapping[str, Any]]) -> list[int]:
    """Where the first state of every block stands on the axis."""
    starts, place = [], 0
    for block in blocks:
        starts.append(place)
        place += len(block["states"]["std"])
    return starts


def _draw_states(axes: Axes, found: Mapping[str, Any], starts: list[int]) -> None:
    verdict = found["verdict"]
    for start, block in zip(starts, found["blocks"], strict=True):
        _line(axes, start, block["gradients"]["norm"], 0)
    last = found["blocks"][-1]["gradients"]["norm"][-1]
    if wording.is_number(last) and last > 0:
        factor = 10 ** min(verdict["threshold"], 300.0)
        axes.axhspan(last / factor, last * factor, color=canvas.GOOD, alpha=0.08, lw=0)
    tone = canvas.TONES[_TONES.get(verdict["verdict"], "none")]
    axes.set_title(f"gradient of the states: {_short(verdict)}", color=tone)
    axes.set_ylabel("‖dL/dy‖ over the batch")
    canvas.logarithmic(axes)


def _draw_weights(axes: Axes, found: Mapping[str, Any], starts: list[int]) -> None:
    verdict = found["weights_verdict"]
    for start, block in zip(starts, found["blocks"], strict=True):
        rms = block["weights"]["rms"]
        steps = (len(block["states"]["std"]) - 1) // len(rms)
        # A set of weights stands in the middle of the steps that it serves.
        _line(axes, start + (steps + 1) / 2, rms, 1, apart=steps)
    tone = canvas.TONES[_TONES.get(verdict["verdict"], "none")]
    axes.set_title(f"gradient of the weights: {_short(verdict)}", color=tone)
    axes.set_ylabel("root mean square of dL/dW")
    canvas.logarithmic(axes)


def _draw_factors(axes: Axes, found: Mapping[str, Any], starts: list[int]) -> None:
    live = found.get("batch_statistics") == "live"
    axes.set_title(f"factor of each layer{', as evaluated' if live else ''}")
    axes.set_ylabel("singular values; change of the norm")
    axes.axhline(1, color=canvas.MUTED, lw=0.8)
    for start, block in zip(starts, found["blocks"], strict=True):
        factors, norms = block["factors"], block["gradients"]["norm"]
        if factors is not None:
            _line(axes, start + 1, factors["largest"], 0, "largest")
            if factors["smallest"] is not None:
                _line(axes, start + 1, factors["mean"], 2, "mean")
                _line(axes, start + 1, factors["smallest"], 1, "smallest")
        ratios = {
            start + 1 + step: before / after
            for step, (before, after) in enumerate(itertools.pairwise(norms))
            if wording.is_number(before) and wording.is_number(after) and after > 0
        }
        axes.plot(
            list(ratios), list(ratios.values()), "x", color=canvas.INK, ms=6, label="this gradient"
        )
    canvas.logarithmic(axes)
    _legend(axes)


def _draw_spread(axes: Axes, found: Mapping[str, Any], starts: list[int]) -> None:
    axes.set_title("activations")
    axes.set_ylabel("mean and standard deviation")
    for start, block in zip(starts, found["blocks"], strict=True):
        _line(axes, start, block["states"]["std"], 0, "std of y")
        _line(axes, start, block["states"]["mean"], 2, "mean of y")
        if block["responses"] is not None:
            _line(axes, start + 1, block["responses"]["std"], 1, "std of what a layer adds")
    axes.axhline(0, color=canvas.MUTED, lw=0.8)
    _legend(axes)


def _line(
    axes: Axes,
    first: wording.Number,
    values: Curve,
    index: int,
    label: str | None = None,
    apart: int = 1,
) -> None:
    curve = [(first + i * apart, v) for i, v in enumerate(values) if wording.is_number(v)]
    if curve:
        axes.plot(
            *zip(*curve, strict=True), color=canvas.colour_of(index), ls=canvas.dashes_of(index),
            marker=canvas.marker_of(index), ms=4 if len(curve) < 60 else 0, lw=1.5, label=label,
        )  # fmt: skip


def _short(verdict: Mapping[str, Any]) -> str:
    return verdict["verdict"].partition(":")[0]


def _legend(axes: Axes) -> None:
    """Every label once, whatever the number of blocks."""
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    if once:
        axes.legend(list(once.values()), list(once), fontsize=8)
