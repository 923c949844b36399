r"""Crossing paths: impossible for an ordinary differential equation of the state.

Two solutions of $h' = f(t, h)$ that differ at one time differ at all times. In one dimension they
keep their order (Dupont et al. 2019, arXiv:1904.01681, prop. 1); in any, the derivative of the
state at a later time by the first state has a positive determinant. The steps of a discrete network
need not (Ott et al. 2021, arXiv:2007.15386).
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from odenet.analysis.field_path import FieldPath
from odenet.analysis.growth import path_jacobians
from odenet.analysis.layer_factors import jacobian

NEARNESS = 0.05
"""Fraction of their distance below which two paths count as having met, in dimension above 1."""

ORIENTATION_SIZE = 32
"""Size of a state up to which determinants are measured."""


@dataclasses.dataclass(frozen=True)
class Crossings:
    """Pairs of paths that meet inside a step, at the same time.

    With $\\delta_k$ the difference of two states at point $k$, and straight lines between the
    points, a pair crosses in the step from $k$ to $k + 1$ if
    $\\min_{0 < s < 1} |(1 - s) \\delta_k + s \\delta_{k+1}| \\le c \\min(|\\delta_k|,
    |\\delta_{k+1}|)$. In one dimension that is a change of order, whatever $c < 1$, and proves that
    no ODE of this state has the paths. In higher dimensions two paths almost never meet exactly,
    and $c$ is `NEARNESS`: the paths pass each other in opposite directions, which in an ODE would
    need a half turn within the step.

    Attributes:
        in_step: Number of pairs in every step, shape `(num_steps,)`.
        pairs: Number of pairs that cross in some step.
        all_pairs: Number of pairs whose initial states differ.
    """

    in_step: np.ndarray
    pairs: int
    all_pairs: int


@dataclasses.dataclass(frozen=True)
class Orientation:
    """Signs of the determinant of the map from the initial state to every point.

    Attributes:
        in_step: Number of examples with a change of sign in every step, shape `(num_steps,)`.
        reversed_examples: Number of examples with a negative sign at some point: no flow of an ODE
            of this state has such a derivative there.
        unresolved: Number of points and examples where round-off hides the sign.
    """

    in_step: np.ndarray
    reversed_examples: int
    unresolved: int


def crossings(path: np.ndarray) -> Crossings:
    """Count crossings of paths.

    Args:
        path: States at all points, shape `(points, batch, *state)`.
    """
    points, batch = path.shape[:2]
    states = path.reshape(points, batch, -1)
    nearness = NEARNESS if states.shape[2] > 1 else 0.5
    first, second = np.triu_indices(batch, 1)
    # Differences of states at the level of round-off do not count.
    noise = (16 * float(np.finfo(path.dtype).eps) * np.abs(states).max(axis=(1, 2))) ** 2
    ever, in_step = np.zeros(len(first), bool), np.zeros(points - 1, np.int64)
    before = states[0].astype(np.float64)
    distance = _inner(before, before, first, second)
    all_pairs = int(np.count_nonzero(distance > noise[0]))
    for step in range(points - 1):
        after = states[step + 1].astype(np.float64)
        new = _inner(after, after, first, second)
        both = _inner(before, after, first, second)
        met = _nearest(distance, new, both) <= nearness**2 * np.minimum(distance, new)
        crossed = met & (both < 0) & (distance > noise[step]) & (new > noise[step + 1])
        ever |= crossed
        in_step[step] = np.count_nonzero(crossed)
        before, distance = after, new
    return Crossings(in_step, int(ever.sum()), all_pairs)


def _inner(before, after, first, second):
    """Inner products of the differences of every pair before and after a step."""
    if before.shape[1] <= 4:
        return np.sum((before[first] - before[second]) * (after[first] - after[second]), axis=1)
    # For large states, the array of all differences is not formed.
    cross = before @ after.T
    own = np.diagonal(cross)
    return own[first] + own[second] - cross[first, second] - cross[second, first]


def _nearest(before, after, both):
    """Smallest squared norm on the straight line between two vectors in opposite directions."""
    between = before + after - 2 * both
    area = np.maximum(before * after - both**2, 0)
    return np.where(between > 0, area / np.where(between > 0, between, 1), before)


def orientation(field_path: FieldPath) -> Orientation | None:
    """Compute the sign of the determinant along the paths.

    Returns:
        None for states larger than `ORIENTATION_SIZE`, and if `path_jacobians` is None.
    """
    if math.prod(field_path.path.shape[2:]) > ORIENTATION_SIZE:
        return None
    integrator = field_path.integrator
    step = None if integrator is None else integrator.step_map()
    if step is not None:
        # The factors of single steps are better conditioned than their product.
        def factor(field, t0, tau, h):
            return jacobian(lambda h: step(field, t0, tau, h), h)

        signs, known = _signs(jax.jit(lambda: field_path.each_step(factor))())
        changed = known & (signs < 0)
        negative = np.cumprod(np.where(changed, -1, 1), axis=0) < 0
        return _orientation(changed, negative, known)
    matrices = path_jacobians(field_path)
    if matrices is None:
        return None
    signs, known = _signs(matrices)
    changed = known[1:] & known[:-1] & (signs[1:] != signs[:-1])
    return _orientation(changed, known & (signs < 0), known)


def _signs(matrices) -> tuple[np.ndarray, np.ndarray]:
    """Signs of determinants, and whether they exceed round-off."""
    eps = float(jnp.finfo(matrices.dtype).eps)
    matrices = np.asarray(matrices, np.float64)
    values = np.linalg.svd(matrices, compute_uv=False)
    known = values[..., -1] > matrices.shape[-1] * eps * values[..., 0]
    return np.linalg.slogdet(matrices)[0], known


def _orientation(changed, negative, known) -> Orientation:
    return Orientation(
        changed.sum(axis=1), int(negative.any(axis=0).sum()), int(np.count_nonzero(~known))
    )
