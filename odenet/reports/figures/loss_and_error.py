"""Training loss and test error on two axes, as in He et al. 2016 (arXiv:1603.05027, fig. 1)."""

from collections.abc import Mapping, Sequence
from typing import Any

from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Figure

Records = Sequence[Mapping[str, Any]]


@canvas.styled
def loss_and_error_figure(metrics: Mapping[str, Records]) -> Figure | None:
    """Training loss (dashed, left axis) and test error (solid, right axis) against steps.

    Args:
        metrics: For every network the records of its `metrics.jsonl`.

    Returns:
        The figure; None if no network has a test accuracy during training.
    """
    errors = {name: test_errors(records) for name, records in metrics.items()}
    if not any(errors.values()):
        return None
    figure = canvas.new_figure(7.6, 4.2)
    left = figure.subplots()
    right = left.twinx()
    right.spines["right"].set_visible(True)
    for index, (name, records) in enumerate(metrics.items()):
        colour = canvas.colour_of(index)
        losses = mean_losses(records, [step for step, _ in errors[name]])
        if losses:
            left.plot(*zip(*losses, strict=True), color=colour, ls="--", lw=1.2, alpha=0.9)
        if errors[name]:
            right.plot(
                *zip(*errors[name], strict=True), color=colour, lw=1.8,
                marker=canvas.marker_of(index), ms=3.5,
            )  # fmt: skip
    canvas.logarithmic(left)
    left.set_ylabel("training loss (dashed)")
    right.set_ylabel("test error (solid)")
    right.set_ylim(bottom=0)
    canvas.percentages(right)
    left.set_xlabel("optimiser steps")
    left.set_xlim(left=0)
    left.grid(axis="x")
    handles = [
        canvas.Line2D([], [], color=canvas.colour_of(i), marker=canvas.marker_of(i), ms=4, lw=1.8)
        for i in range(len(metrics))
    ]
    names = [canvas.legible(name) for name in metrics]
    figure.legend(handles, names, loc="outside upper center", ncols=min(3, len(names)))
    return figure


def test_errors(records: Records) -> list[tuple[int, float]]:
    """Step and error rate (0 to 1) of every evaluation on the test split."""
    return [
        (record["step"], 1 - record["accuracy"])
        for record in records
        if record["split"] == "test" and wording.is_number(record.get("accuracy"))
    ]


def mean_losses(records: Records, steps: Sequence[int]) -> list[tuple[int, float]]:
    """At each of `steps`, the mean of the logged training losses since the previous one."""
    losses = [
        (record["step"], record["loss"])
        for record in records
        if record["split"] == "train" and wording.is_number(record.get("loss"))
    ]
    means, before = [], 0
    for step in steps:
        since = [loss for at, loss in losses if before < at <= step]
        if since:
            means.append((step, sum(since) / len(since)))
        before = step
    return means
