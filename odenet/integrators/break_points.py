"""Break points: depth-times of jumps of the field, at which an adaptive solve restarts."""

import itertools
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, FiniteFloat

from odenet.errors import ConfigError


def _increasing(points: tuple[float, ...]) -> tuple[float, ...]:
    if any(a >= b for a, b in itertools.pairwise(points)):
        raise ValueError(
            f"break_points are depth-times in increasing order, each once; got {list(points)}; "
            f"sort them and remove duplicates"
        )
    return points


BreakPoints = Annotated[tuple[FiniteFloat, ...], AfterValidator(_increasing)]
"""Depth-times in increasing order, counted from the start of the block."""


def refuse_break_points_outside(points: Sequence[float], taus: Sequence[float]) -> None:
    """Refuse break points outside a block.

    Args:
        points: Break points of the block's integrator.
        taus: The step sizes of the block, in order, not learned.

    Raises:
        ConfigError: naming the break points that are not between the ends of the block.
    """
    times = [0.0, *itertools.accumulate(taus)]
    first, last = min(times), max(times)
    outside = [point for point in points if not first < point < last]
    if outside:
        raise ConfigError(
            f"break_points are depth-times inside the block, which goes from {first:g} to "
            f"{last:g}; got {outside}; remove these, or change step_sizes"
        )
