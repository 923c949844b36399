"""Figures of the measurements of monitors during training."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import odenet.analysis.monitors  # noqa: F401 - registers its kinds
from odenet.part.family import kinds_of, members_of
from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Figure
from odenet.reports.figures import flow_history_figure, stability_history_figure
from odenet.training.callbacks import Record
from odenet.training.monitor_config import MonitorConfig

Draw = Callable[[Sequence[Record]], Figure | None]


@dataclasses.dataclass(frozen=True)
class History:
    """The figure of one monitor.

    Attributes:
        name: Name of the figure's files.
        alt: Alternative text, for screen readers.
        caption: How to read the figure.
        figure: Draws the figure from the lines of the monitor's file.
    """

    name: str
    alt: str
    caption: str
    figure: Draw


@canvas.styled
def numbers_figure(records: Sequence[Record]) -> Figure | None:
    """Every number of the lines over the steps of the optimiser; None if there is no number."""
    names = [name for name, value in (records[0] if records else {}).items() if _drawn(name, value)]
    if not names:
        return None
    figure = canvas.new_figure(6.0, 3.6)
    axes = figure.subplots()
    for index, name in enumerate(names):
        points = [(one["step"], one[name]) for one in records if wording.is_number(one.get(name))]
        axes.plot(
            *zip(*points, strict=True), color=canvas.colour_of(index), ls=canvas.dashes_of(index),
            lw=1.5, label=name,
        )  # fmt: skip
    axes.set_xlabel("step of the optimiser")
    axes.legend(fontsize=8)
    return figure


def _drawn(name: str, value: Any) -> bool:
    return name != "step" and wording.is_number(value)


_HISTORIES = {
    "flow_history": History(
        "flow_history",
        "Norms of the gradient and standard deviation of the activations at every layer, during "
        "training",
        "Each line is the network after the given number of optimiser steps, on the same training "
        "examples.",
        flow_history_figure,
    ),
    "stability_history": History(
        "stability_history",
        "Stability of every layer during training",
        "The worst case over a few training examples. A step is stable if its amplification is at "
        "most 1. All steps are stable while the factor at right is above 1.",
        stability_history_figure,
    ),
}


def _members() -> dict[str, type[MonitorConfig]]:
    return {kind: part for part in members_of(MonitorConfig) for kind in kinds_of(part)}


def monitor_kinds(config: Mapping[str, Any]) -> list[str]:
    """Kinds of monitors whose files a run directory may hold.

    Args:
        config: The experiment as plain data; it names the kinds from plug-ins.
    """
    training = config.get("training")
    given = training.get("monitors") if isinstance(training, Mapping) else None
    entries = given if isinstance(given, list) else []
    named = [one.get("kind") if isinstance(one, Mapping) else one for one in entries]
    return list(dict.fromkeys([*_members(), *(kind for kind in named if isinstance(kind, str))]))


def history(kind: str) -> History:
    """The figure of the monitors of a kind: a built-in one, or every number over the steps."""
    part = _members().get(kind)
    name = (part.figure_name if part is not None else "") or f"{kind}_history"
    if name in _HISTORIES:
        return _HISTORIES[name]
    alt = f"{kind.replace('_', ' ').capitalize()} during training"
    caption = f"Measurements of the monitor of kind {kind} over the steps of the optimiser."
    return History(name, alt, caption, numbers_figure)


def draw(kind: str, records: Sequence[Record]) -> Figure | None:
    """The figure of a monitor's lines: the monitor's own, or that of `history`."""
    part = _members().get(kind)
    own = part.figure(records) if part is not None and records else None
    return own if own is not None else history(kind).figure(records)
