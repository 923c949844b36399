"""From one depth axis to another: weights, step sizes, and an optimiser's moments of both."""

import dataclasses

import numpy as np

from odenet.arrays import Float
from odenet.depth.step_sizes import LearnedStepSizes
from odenet.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Transfer:
    r"""A linear map $\theta' = M \theta$ of the sets of weights along their leading axis.

    A loss that does not change has gradients with $M^T g' = g$, of which the smallest is
    $g' = (M^+)^T g$: where a set is copied, each copy gets its part of the gradient; where sets are
    averaged, the gradients add up. Moments of an optimiser are averages of gradients and of their
    squares, and follow from that.

    Args:
        matrix: $M$, shape `(new, old)`.
    """

    matrix: Float[np.ndarray, "new old"]

    def values(self, leaf: Float[np.ndarray, "old *set"]) -> Float[np.ndarray, "new *set"]:
        """Parameters, or statistics, on the new axis."""
        return _along_first(self.matrix, leaf)

    def gradients(self, leaf: Float[np.ndarray, "old *set"]) -> Float[np.ndarray, "new *set"]:
        """A mean of gradients, as momentum and Adam keep it, on the new axis."""
        return _along_first(np.linalg.pinv(self.matrix).T, leaf)

    def squares(self, leaf: Float[np.ndarray, "old *set"]) -> Float[np.ndarray, "new *set"]:
        """A mean of squared gradients, as Adam keeps it: the square of what their roots become."""
        return _along_first(np.abs(np.linalg.pinv(self.matrix).T), np.sqrt(leaf)) ** 2


def _along_first(matrix: np.ndarray, leaf: np.ndarray) -> np.ndarray:
    moved = np.tensordot(matrix, np.asarray(leaf, np.float64), axes=1)
    return moved.astype(np.asarray(leaf).dtype)


def copied(num_sets: int, factor: int) -> Float[np.ndarray, "new old"]:
    """Every set of weights becomes `factor` equal ones: the same piecewise-constant function."""
    return np.repeat(np.eye(num_sets), factor, axis=0)


def averaged(num_sets: int, factor: int) -> Float[np.ndarray, "new old"]:
    """Every `factor` neighbouring sets become their mean; after `copied`, the identity."""
    return copied(num_sets // factor, factor).T / factor


def interpolated(num_sets: int, factor: int) -> Float[np.ndarray, "new old"]:
    """Sets between two neighbours lie on the line between them; after the last, they equal it.

    A set stands at the start of its layer, so that every old one is kept (Haber and Ruthotto 2017,
    arXiv:1705.03341, sec. 5).
    """
    at = np.minimum(np.arange(num_sets * factor) / factor, num_sets - 1)
    knots = np.arange(num_sets)
    return np.maximum(0, 1 - np.abs(at[:, None] - knots[None]))


def step_matrix(num_steps: int, new: int) -> Float[np.ndarray, "new old"]:
    """How the step sizes of a finer or coarser grid follow: split equally, or added up.

    Args:
        num_steps: Number of steps.
        new: Number of new ones, a multiple or a divisor.

    Raises:
        ConfigError: if it is neither.
    """
    if new % num_steps == 0:
        factor = new // num_steps
        return copied(num_steps, factor) / factor
    if num_steps % new == 0:
        return averaged(num_steps, num_steps // new) * (num_steps // new)
    raise ConfigError(
        f"a grid of {num_steps} steps is refined to a multiple or coarsened to a divisor of them; "
        f"got {new}"
    )


def refined_taus(taus: np.ndarray, num_steps: int) -> Float[np.ndarray, " num_steps"]:
    """Step sizes of the grid in `num_steps` steps, see `step_matrix`; their sum stays."""
    return step_matrix(len(taus), num_steps) @ np.asarray(taus, np.float64)


def step_size_transfer(sizes: LearnedStepSizes, num_steps: int) -> tuple[np.ndarray, Transfer]:
    r"""The parameters of learned step sizes on a finer or coarser grid, and what moments follow.

    The step sizes themselves move by `step_matrix`; their parameters are nonlinear functions of
    them, whose derivative at this place is what gradients are transferred by.

    Args:
        sizes: The learned step sizes.
        num_steps: The new number of steps.

    Returns:
        The new parameters, and the linear map between small changes of old and new ones.
    """
    old = np.asarray(sizes.taus(), np.float64)
    new = refined_taus(old, num_steps)
    by_raw, by_new_raw = (_taus_by_raw(sizes, taus) for taus in (old, new))
    matrix = np.linalg.pinv(by_new_raw) @ step_matrix(len(old), num_steps) @ by_raw
    return _raw_of(sizes, new), Transfer(matrix)


def _raw_of(sizes: LearnedStepSizes, taus: np.ndarray) -> np.ndarray:
    """The parameters that these step sizes have."""
    if sizes.parametrisation == "positive":
        raw = taus + np.log(-np.expm1(-taus))
    elif sizes.parametrisation == "simplex":
        raw = np.log(taus / sizes.horizon)
    else:
        raw = taus[: -1 if sizes.parametrisation == "remainder" else None]
    return raw[0:1].reshape(()) if sizes.raw.ndim == 0 else raw


def _taus_by_raw(sizes: LearnedStepSizes, taus: np.ndarray) -> Float[np.ndarray, "taus raw"]:
    """Derivative of the step sizes by their parameters."""
    if sizes.parametrisation == "positive":
        by_each = np.diag(-np.expm1(-taus))
    elif sizes.parametrisation == "simplex":
        by_each = np.diag(taus) - np.outer(taus, taus) / sizes.horizon
    else:
        by_each = np.eye(len(taus))
    if sizes.parametrisation == "remainder":
        return np.vstack([by_each[:-1, :-1], -np.ones(len(taus) - 1)])
    return by_each.sum(axis=1, keepdims=True) if sizes.raw.ndim == 0 else by_each
