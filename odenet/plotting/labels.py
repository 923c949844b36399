"""Where the names of points go, so that no two overlap and no leader crosses a name."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Label:
    """A name that stands above a point, its left edge on the leader that rises from the point.

    Attributes:
        x: Place of the point along the axis.
        width: Length of the name in inches, with what is kept free after it.
    """

    x: float
    width: float


def scale(labels: Sequence[Label], first: float, room: float) -> float:
    """Inches per unit of `x` at which every name ends within the room.

    Args:
        labels: All names that share the axis.
        first: Left end of the axis, in its units.
        room: Length of the axis in inches.
    """
    needs = [(room - label.width) / (label.x - first) for label in labels if label.x > first]
    # A name longer than the axis cannot be helped; half of it is left to the points then.
    return max(min(needs), room / 2 / max(label.x - first for label in labels))


def levels(labels: Sequence[Label], inches: float) -> list[int]:
    """The level of every name, 0 next to the axes.

    A name covers the leaders of the points right of it that it reaches, so it stands higher than
    they do: then their leaders end below it.

    Args:
        labels: The names of one panel.
        inches: Inches per unit of `x`.
    """
    chosen = [0] * len(labels)
    # From right to left; of names at the same place the first is the highest.
    done: list[int] = []
    for index in sorted(range(len(labels)), key=lambda i: (-labels[i].x, -i)):
        label = labels[index]
        reached = [
            chosen[other] for other in done if (labels[other].x - label.x) * inches < label.width
        ]
        chosen[index] = 1 + max(reached) if reached else 0
        done.append(index)
    return chosen
