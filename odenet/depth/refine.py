"""From one depth axis to another: weights, step sizes, and an optimiser's moments of both."""

import dataclasses
from fractions import Fraction
from typing import Literal

import numpy as np

from odenet.arrays import Float
from odenet.errors import ConfigError

Prolongation = Literal["constant", "linear"]
"""Whether new layers are made of the old ones that they share depth with, or lie on the line
between two."""


@dataclasses.dataclass(frozen=True)
class Transfer:
    r"""A linear map $\theta' = M \theta$ of the sets of weights along their leading axis.

    Gradients go by the way back, $\theta = B \theta'$, as $g' = B^T g$. Where the new weights can
    be made of the old ones' functions, that is the chain rule; where they can express the old ones,
    $B M = I$, and it is a gradient of which the old one follows: where a set is copied, each copy
    gets its part of the gradient; where sets are averaged, the gradients add up. Moments of an
    optimiser are averages of gradients and of their squares, and follow from that.

    Args:
        matrix: $M$, shape `(new, old)`.
        back: $B$, shape `(old, new)`; without it, the pseudoinverse of $M$.
    """

    matrix: Float[np.ndarray, "new old"]
    back: Float[np.ndarray, "old new"] | None = None

    @property
    def _of_gradients(self) -> np.ndarray:
        return (np.linalg.pinv(self.matrix) if self.back is None else self.back).T

    def values(self, leaf: Float[np.ndarray, "old *set"]) -> Float[np.ndarray, "new *set"]:
        """Parameters, or statistics, on the new axis."""
        return _along_first(self.matrix, leaf)

    def gradients(self, leaf: Float[np.ndarray, "old *set"]) -> Float[np.ndarray, "new *set"]:
        """A mean of gradients, as momentum and Adam keep it, on the new axis."""
        return _along_first(self._of_gradients, leaf)

    def squares(self, leaf: Float[np.ndarray, "old *set"]) -> Float[np.ndarray, "new *set"]:
        """A mean of squared gradients, as Adam keeps it: the square of what their roots become."""
        return _along_first(np.abs(self._of_gradients), np.sqrt(leaf)) ** 2


def _along_first(matrix: np.ndarray, leaf: np.ndarray) -> np.ndarray:
    moved = np.tensordot(matrix, np.asarray(leaf, np.float64), axes=1)
    return moved.astype(np.asarray(leaf).dtype)


def overlapping(num_sets: int, new: int) -> Float[np.ndarray, "new old"]:
    """Every new set is the mean of the old ones that it shares depth with, by how much it does.

    Sets act on equal parts of the depth, counted in layers: a whole number of times as many copies
    each set, so that weights stay the same piecewise-constant function; a whole part of them
    averages neighbours, which after copying is the identity. It is the nearest function in the mean
    square (see `odenet.depth.basis.projection_matrix`).

    Args:
        num_sets: Number of sets.
        new: Number of new ones, any.
    """
    return _shared_depth(num_sets, new) / num_sets


def _shared_depth(old: int, new: int) -> np.ndarray:
    """Length that each new cell shares with each old one, in units of `1 / (old * new)`."""
    ours, theirs = np.arange(new)[:, None], np.arange(old)[None]
    ends = np.minimum((ours + 1) * old, (theirs + 1) * new)
    return np.maximum(0, ends - np.maximum(ours * old, theirs * new))


def interpolated(num_sets: int, new: int) -> Float[np.ndarray, "new old"]:
    """New sets lie on the lines between their neighbours; after the last, they equal it.

    A set stands at the start of its layer: of a multiple, every old one is kept (Haber and
    Ruthotto 2017, arXiv:1705.03341, sec. 5).

    Args:
        num_sets: Number of sets.
        new: Number of new ones, any.
    """
    at = np.minimum(np.arange(new) * num_sets / new, num_sets - 1)
    knots = np.arange(num_sets)
    return np.maximum(0, 1 - np.abs(at[:, None] - knots[None]))


def step_matrix(num_steps: int, new: int) -> Float[np.ndarray, "new old"]:
    """How the step sizes of another grid follow: every new step is the sum of the parts it takes.

    Old steps are divided equally: of a multiple, into equal parts; of a divisor, they are added up.

    Args:
        num_steps: Number of steps.
        new: Number of new ones, any.
    """
    return _shared_depth(num_steps, new) / new


def refined_taus(taus: np.ndarray, num_steps: int) -> Float[np.ndarray, " num_steps"]:
    """Step sizes of the grid in `num_steps` steps, see `step_matrix`; their sum stays."""
    return step_matrix(len(taus), num_steps) @ np.asarray(taus, np.float64)


def refined_cells(
    num_sets: int, num_steps: int, new_steps: int, prolongation: Prolongation
) -> tuple[int, Transfer]:
    """Sets of weights that act on equal cells of the depth, on another grid.

    Args:
        num_sets: Number of sets.
        num_steps: Number of steps that they serve.
        new_steps: Number of steps of the new grid.
        prolongation: Whether new sets are means of those that they share depth with, or lie on
            lines.

    Returns:
        The new number of sets, and how sets move.

    Raises:
        ConfigError: if that number is not whole, or lines are asked for and sets are joined.
    """
    new = Fraction(num_sets * new_steps, num_steps)
    if new.denominator != 1:
        raise ConfigError(
            f"{num_sets} sets of weights, which serve {num_steps} steps, cannot become {new} for "
            f"{new_steps}; use another number of steps"
        )
    number = int(new)
    if prolongation == "constant":
        return number, Transfer(overlapping(num_sets, number), overlapping(number, num_sets))
    if number < num_sets:
        raise ConfigError(
            f"prolongation=linear would be ignored: {num_sets} layers become {number} by their mean"
        )
    return number, Transfer(interpolated(num_sets, number))
