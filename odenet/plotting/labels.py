"""Positions of the names of points: no two names overlap, and no leader line crosses a name."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Label:
    """A name above a point. Its left edge is on the leader line, which rises from the point.

    Attributes:
        x: Position of the point along the axis.
        width: Length of the name in inches, including the margin after it.
    """

    x: float
    width: float


def scale(labels: Sequence[Label], first: float, length: float) -> float:
    """Inches per unit of `x` at which every name ends within the axis.

    Args:
        labels: All names that share the axis.
        first: Left end of the axis, in its units.
        length: Length of the axis in inches.
    """
    needs = [(length - label.width) / (label.x - first) for label in labels if label.x > first]
    # A name longer than the axis does not fit; the points then get half of the axis.
    return max(min(needs), length / 2 / max(label.x - first for label in labels))


def levels(labels: Sequence[Label], inches: float) -> list[int]:
    """The level of every name, 0 next to the axes.

    A name must not cover the leader lines of the points right of it. It therefore has a higher
    level than every point that it overlaps, and their leader lines end below it.

    Args:
        labels: The names of one panel.
        inches: Inches per unit of `x`.
    """
    chosen = [0] * len(labels)
    # From right to left; of names at the same position the first has the highest level.
    done: list[int] = []
    for index in sorted(range(len(labels)), key=lambda i: (-labels[i].x, -i)):
        label = labels[index]
        reached = [
            chosen[other] for other in done if (labels[other].x - label.x) * inches < label.width
        ]
        chosen[index] = 1 + max(reached) if reached else 0
        done.append(index)
    return chosen
