"""Transfer between depth grids: weights, step sizes, and the optimiser's moments of both."""

import dataclasses
from fractions import Fraction
from typing import Literal

import numpy as np

from odenet.arrays import Float
from odenet.errors import ConfigError

Prolongation = Literal["constant", "linear"]
"""`constant`: new layers are means of the overlapping old layers; `linear`: they are interpolated
linearly between two old layers."""


@dataclasses.dataclass(frozen=True)
class Transfer:
    r"""A linear map $\theta' = M \theta$ of the sets of weights along their leading axis.

    Gradients are transferred by the reverse map $\theta = B \theta'$, as $g' = B^T g$. If the old
    functions span the new ones, this is the chain rule. If the new functions span the old ones,
    $B M = I$, and the old gradient follows from the new one: if a set is copied, each copy gets a
    part of the gradient; if sets are averaged, their gradients are summed. Moments of an optimiser
    are averages of gradients and of squared gradients, and are transferred accordingly.

    Args:
        matrix: $M$, shape `(new, old)`.
        back: $B$, shape `(old, new)`; default: the pseudoinverse of $M$.
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
        """A mean of gradients, as in momentum and Adam, on the new axis."""
        return _along_first(self._of_gradients, leaf)

    def squares(self, leaf: Float[np.ndarray, "old *set"]) -> Float[np.ndarray, "new *set"]:
        """A mean of squared gradients, as in Adam: square roots are transferred, then squared."""
        return _along_first(np.abs(self._of_gradients), np.sqrt(leaf)) ** 2


def _along_first(matrix: np.ndarray, leaf: np.ndarray) -> np.ndarray:
    moved = np.tensordot(matrix, np.asarray(leaf, np.float64), axes=1)
    return moved.astype(np.asarray(leaf).dtype)


def overlapping(num_sets: int, new: int) -> Float[np.ndarray, "new old"]:
    """Matrix by which every new set is the mean of the overlapping old sets, weighted by overlap.

    Sets act on equal parts of the depth, counted in layers. For a multiple of the sets, each set is
    copied: the weights are the same piecewise-constant function. For a divisor, neighbours are
    averaged; copying and then averaging is the identity. The map is the $L^2$ projection (see
    `odenet.depth.basis.projection_matrix`).

    Args:
        num_sets: Number of old sets.
        new: Number of new sets, any.
    """
    return _shared_depth(num_sets, new) / num_sets


def _shared_depth(old: int, new: int) -> np.ndarray:
    """Overlap of each new cell with each old one, in units of `1 / (old * new)`."""
    ours, theirs = np.arange(new)[:, None], np.arange(old)[None]
    ends = np.minimum((ours + 1) * old, (theirs + 1) * new)
    return np.maximum(0, ends - np.maximum(ours * old, theirs * new))


def interpolated(num_sets: int, new: int) -> Float[np.ndarray, "new old"]:
    """Matrix of linear interpolation between sets; after the last set, it is constant.

    A set is located at the start of its layer: for a multiple of the sets, every old set is kept
    (Haber and Ruthotto 2017, arXiv:1705.03341, sec. 5).

    Args:
        num_sets: Number of old sets.
        new: Number of new sets, any.
    """
    at = np.minimum(np.arange(new) * num_sets / new, num_sets - 1)
    knots = np.arange(num_sets)
    return np.maximum(0, 1 - np.abs(at[:, None] - knots[None]))


def step_matrix(num_steps: int, new: int) -> Float[np.ndarray, "new old"]:
    """Matrix from step sizes to those of another grid: a new step sums its parts of old steps.

    For a multiple of the steps, each is divided into equal parts; for a divisor, steps are summed.

    Args:
        num_steps: Number of old steps.
        new: Number of new steps, any.
    """
    return _shared_depth(num_steps, new) / new


def refined_taus(taus: np.ndarray, num_steps: int) -> Float[np.ndarray, " num_steps"]:
    """Step sizes of the grid with `num_steps` steps, by `step_matrix`; the sum is preserved."""
    return step_matrix(len(taus), num_steps) @ np.asarray(taus, np.float64)


def refined_cells(
    num_sets: int, num_steps: int, new_steps: int, prolongation: Prolongation
) -> tuple[int, Transfer]:
    """Transfer of sets of weights on equal cells of the depth to another grid.

    Args:
        num_sets: Number of sets.
        num_steps: Number of steps of the grid.
        new_steps: Number of steps of the new grid.
        prolongation: Whether new sets are means of the overlapping old ones (`constant`), or are
            interpolated (`linear`).

    Returns:
        The new number of sets, and their transfer.

    Raises:
        ConfigError: if the new number of sets is not an integer, or `linear` is combined with fewer
            sets.
    """
    new = Fraction(num_sets * new_steps, num_steps)
    if new.denominator != 1:
        raise ConfigError(
            f"{num_sets} sets of weights for {num_steps} steps would become {new} sets for "
            f"{new_steps}; use another number of steps"
        )
    number = int(new)
    if prolongation == "constant":
        return number, Transfer(overlapping(num_sets, number), overlapping(number, num_sets))
    if number < num_sets:
        raise ConfigError(
            f"prolongation=linear would be ignored: {num_sets} layers are averaged to {number}"
        )
    return number, Transfer(interpolated(num_sets, number))
