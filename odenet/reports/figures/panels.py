"""Data of the solver figure: positions along the axis, names, levels, verdicts."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from odenet.analysis.compare import TRAINED
from odenet.plotting import canvas, wording
from odenet.plotting.labels import Label, levels, scale


@dataclasses.dataclass(frozen=True)
class SolverAxis:
    """Minus the exponent of the solver's error; errors 0 and infinity have their own positions."""

    first: float
    last: float
    exact: float
    unbounded: float | None

    def place(self, error: wording.Number | None) -> float:
        """Position of an error on the axis."""
        if error is None or not wording.is_number(error):
            return self.first if self.unbounded is None else self.unbounded
        return self.exact if error == 0 else -math.log10(error)


@dataclasses.dataclass(frozen=True)
class Panel:
    """The panel of one network: its evaluations, their names and levels, its verdict."""

    name: str
    colour: str
    marker: str
    rows: Sequence[Mapping[str, Any]]
    verdict: Mapping[str, Any]
    labels: list[Label]
    levels: list[int]

    @property
    def trained(self) -> Mapping[str, Any]:
        """The row of the network under its training solver."""
        return next(row for row in self.rows if row["evaluated_with"] == TRAINED)

    @property
    def metric(self) -> str:
        """The metric of the panel: accuracy, or loss for a regression."""
        return "loss" if self.trained["accuracy"] is None else "accuracy"

    @property
    def values(self) -> list[float]:
        """The finite values of the metric."""
        return [row[self.metric] for row in self.rows if wording.is_number(row[self.metric])]

    def is_finer(self, row: Mapping[str, Any]) -> bool:
        """Whether the verdict uses this row; for a regression, whether its error is smaller."""
        if self.metric == "accuracy":
            return row["evaluated_with"] in self.verdict["compared"]
        own, error = self.trained["solver_error"], row["solver_error"]
        return None not in (own, error) and error < own


def read_panels(
    comparison: Mapping[str, Any], length: float, size: float
) -> tuple[list[Panel], SolverAxis, float]:
    """The panels of all networks whose depth is time, their axis, and the end of that axis.

    Args:
        comparison: Contents of `comparison.json`.
        length: Length of the axis in inches.
        size: Font size of the names in points.
    """
    rows = [row for row in comparison["rows"] if row["solver_error"] is not None]
    timed = [n for n in comparison["networks"] if any(r["trained_with"] == n for r in rows)]
    if not timed:
        return [], SolverAxis(0.0, 1.0, 1.0, None), 1.0
    shown = [row for row in comparison["rows"] if row["trained_with"] in timed]
    axis = _axis(shown)
    labels = {
        name: [
            Label(axis.place(row["solver_error"]), _label_width(row, size))
            for row in shown
            if row["trained_with"] == name
        ]
        for name in timed
    }
    inches = scale([label for some in labels.values() for label in some], axis.first, length)
    order = list(comparison["networks"])
    verdicts = {verdict["network"]: verdict for verdict in comparison["verdicts"]}
    panels = [
        Panel(
            name,
            canvas.colour_of(order.index(name)),
            canvas.marker_of(order.index(name)),
            [row for row in shown if row["trained_with"] == name],
            verdicts[name],
            labels[name],
            levels(labels[name], inches),
        )
        for name in timed
    ]
    return panels, axis, axis.first + length / inches


def _axis(rows: Sequence[Mapping[str, Any]]) -> SolverAxis:
    errors = [row["solver_error"] for row in rows]
    exponents = [-math.log10(error) for error in errors if wording.is_number(error) and error > 0]
    exponents = exponents or [0.0]
    unbounded = any(not wording.is_number(error) for error in errors)
    low, high = min(exponents), max(exponents)
    first, last = math.floor(low), max(math.ceil(high), math.floor(low) + 2)
    gap = max(1.0, 0.08 * (last - first))
    start = first - (1.6 * gap if unbounded else 0.25)
    return SolverAxis(start, last, last + gap, first - 0.9 * gap if unbounded else None)


def label_of(row: Mapping[str, Any], metric: str) -> str:
    """Name of an evaluation, with a note if the solve failed or the metric is not finite."""
    name = canvas.legible(row["evaluated_with"])
    if not row["solver_ok"]:
        name += " (solve failed)"
    elif not wording.is_number(row[metric]):
        name += f" (no finite {metric})"
    return name


def _label_width(row: Mapping[str, Any], size: float) -> float:
    metric = "loss" if row["accuracy"] is None else "accuracy"
    bold = row["evaluated_with"] == TRAINED
    return canvas.text_width(label_of(row, metric), size, bold=bold) + 0.14
