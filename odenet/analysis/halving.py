r"""Observed order: the change of the outputs of a network when its steps are halved.

For a method of order $p$ on a smooth problem, $y(h) = y^* + C h^p + \dots$, so that the change
from $h$ to $h/2$ shrinks by $2^p$ with every halving (Hairer, Nørsett and Wanner 1993, sec. II.4).
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np

from odenet.analysis.compare import relative_error
from odenet.arrays import Float

ROUND_OFF = 1e-13
"""Relative changes of outputs in double precision below this carry no information on a method."""


@dataclasses.dataclass(frozen=True)
class Halving:
    """Results at one number of steps, and their change when each step is halved.

    Attributes:
        factor: Number of steps, as a multiple of the network's own.
        largest_step: The largest step size.
        error: Root-mean-square difference of the outputs from the reference solve, relative to the
            root mean square of the latter.
        change: The same for the difference from the outputs at half of these step sizes; None for
            the last number of steps.
        order: Base-2 logarithm of this change over the next; None if one of them is missing or
            below round-off.
    """

    factor: float
    largest_step: float
    error: float
    change: float | None
    order: float | None


def halvings(
    factors: Sequence[float],
    steps: Sequence[float],
    outputs: Sequence[Float[np.ndarray, "batch outputs"]],
    reference: Float[np.ndarray, "batch outputs"],
) -> list[Halving]:
    """Changes and orders from the outputs at every number of steps.

    Args:
        factors: Numbers of steps, as multiples of the network's own, each twice the one before.
        steps: The largest step at each number of steps.
        outputs: Outputs for the same examples, at each number of steps.
        reference: Outputs of the reference solve.
    """
    changes: list[float | None] = [
        relative_error(coarse - fine + reference, reference)
        for coarse, fine in itertools.pairwise(outputs)
    ]
    changes.append(None)
    orders = [_order(*pair) for pair in itertools.pairwise(changes)] + [None]
    return [
        Halving(factor, step, relative_error(values, reference), change, order)
        for factor, step, values, change, order in zip(
            factors, steps, outputs, changes, orders, strict=True
        )
    ]


def observed_order(found: Sequence[Halving]) -> float | None:
    """The order at the smallest steps with a known order; None if there are none."""
    orders = [one.order for one in found if one.order is not None]
    return orders[-1] if orders else None


def _order(change: float | None, following: float | None) -> float | None:
    if change is None or following is None:
        return None
    known = math.isfinite(change) and change > ROUND_OFF and following > ROUND_OFF
    return math.log2(change / following) if known else None
