"""The equations of an implicit step, solved by the chord method, and their derivative."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from odenet.arrays import Array, Count, Flag, Float, Scalar
from odenet.integrators.failure import Failure
from odenet.integrators.shared_control import batch_rms

Vector = Float[Array, " size"]

ENOUGH = 1e-2
"""Fraction of the tolerance for solved equations (Hairer and Wanner 1996, sec. IV.8)."""
SLOW = 0.5
"""Ratio of successive corrections above which they count as no longer shrinking."""
ROUNDING = 10.0
"""Rounding errors of final corrections, in units in the last place of the state."""


class _Iterate(NamedTuple):
    """An approximate root, the size of its last correction, and the ratio of the last two."""

    root: Vector
    size: Scalar
    ratio: Scalar
    count: Count
    solved: Flag
    finite: Flag


@dataclasses.dataclass(frozen=True)
class ChordMethod:
    r"""Newton's method with one matrix for all iterations of an equation.

    Corrections are measured in units of the state, by the scale
    `atol + rtol * max(|h_0|, |h_1|)` of the tolerances. With $e_k$ the norm of correction $k$ and
    $\theta = e_k / e_{k-1}$, the equation is solved when $e_k \theta / (1 - \theta)$ or $e_k$ is
    below 0.01 (Hairer and Wanner 1996, eq. IV.8.10), or when corrections have the size of rounding
    errors of the state and no longer shrink: no tolerance demands more than the precision resolves.
    After the last iteration, a value below 1 is enough.

    Args:
        rtol: Relative tolerance, in units of the state.
        atol: Absolute tolerance.
        max_iterations: Largest number of iterations.
        norm: Norm of scaled corrections, over the whole batch.
        differentiated_again: Whether second derivatives are needed; they cost two more matrices.
    """

    rtol: float
    atol: float
    max_iterations: int
    norm: Callable[[Any], Scalar] = batch_rms
    differentiated_again: bool = False

    def solve(
        self, equation: Callable[[Vector], Vector], guess: Vector, state: Vector, step: Scalar
    ) -> tuple[Vector, Count]:
        """Find a root. No gradient passes through the search; see `with_derivative`.

        Args:
            equation: Its value is zero at the root.
            guess: Start of the search, and the point at which the matrix is computed.
            state: The state to which the root, times `step`, is added.
            step: Length of the step.

        Returns:
            The root, and 0 if it is one, `Failure.NOT_FINITE` if the equation had no finite value,
            or `Failure.EQUATION`.
        """
        matrix = jax.scipy.linalg.lu_factor(matrix_of(equation, guess))

        def correct(now: _Iterate) -> _Iterate:
            residual = equation(now.root)
            correction = jax.scipy.linalg.lu_solve(matrix, residual)
            root = now.root - correction
            largest = jnp.maximum(jnp.abs(state), jnp.abs(state + step * root))
            size = self.norm(step * correction / (self.atol + self.rtol * largest))
            ratio = jnp.where(now.count > 0, size / now.size, jnp.inf)
            left = jnp.where(ratio < 1, size * ratio / (1 - ratio), jnp.inf)
            resolved = ROUNDING * jnp.finfo(root.dtype).eps
            resolved = resolved * batch_rms(largest)
            at_rest = (ratio > SLOW) & (batch_rms(step * correction) <= resolved)
            solved = (size <= ENOUGH) | (left <= ENOUGH) | ((now.count > 0) & at_rest)
            finite = jnp.isfinite(batch_rms(residual))
            return _Iterate(root, size, ratio, now.count + 1, solved & jnp.isfinite(size), finite)

        def unsolved(now: _Iterate) -> Flag:
            count = now.count
            going = ~now.solved & now.finite & (jnp.isfinite(now.size) | (count == 0))
            return going & (count < self.max_iterations)

        no, count = jnp.zeros((), bool), jnp.zeros((), jnp.int32)
        unknown = jnp.asarray(jnp.inf, guess.dtype)
        first = _Iterate(guess, unknown, unknown, count, no, ~no)
        found = jax.lax.while_loop(unsolved, correct, first)
        why = jnp.where(found.finite, int(Failure.EQUATION), int(Failure.NOT_FINITE))
        solved = found.solved | ((found.size <= 1) & (found.ratio < 1))
        return found.root, jnp.where(solved, int(Failure.NONE), why).astype(jnp.int32)

    def with_derivative(self, equation: Callable[[Vector], Vector], root: Vector) -> Vector:
        """A known root, with its derivatives with respect to all variables of its equation."""
        rule = corrected_twice if self.differentiated_again else implicitly_differentiated
        return rule(equation, root)


def matrix_of(function: Callable[[Vector], Vector], at: Vector) -> Float[Array, "size size"]:
    """The derivative of a function at a point, column by column."""
    _, derivative = jax.linearize(function, at)
    return jax.vmap(derivative, out_axes=-1)(jnp.eye(len(at), dtype=at.dtype))


def implicitly_differentiated(equation: Callable[[Vector], Vector], root: Vector) -> Vector:
    """A known root, with its first derivative with respect to all variables of its equation.

    By the implicit function theorem, forward and backward. If the matrix is singular or not finite,
    the derivative is NaN; nothing raises.
    """

    def tangent_solve(linear, right):
        return jnp.linalg.solve(matrix_of(linear, jnp.zeros_like(right)), right)

    return jax.lax.custom_root(
        equation, jax.lax.stop_gradient(root), lambda _, known: known, tangent_solve
    )


def corrected_twice(equation: Callable[[Vector], Vector], root: Vector) -> Vector:
    """A known root after two steps of Newton's method, with its first three derivatives.

    The root itself is held fixed: the first step has the derivative of the solution, and every
    further one doubles the order to which derivatives are exact.
    """
    root = jax.lax.stop_gradient(root)
    for _ in range(2):
        root = root - jnp.linalg.solve(matrix_of(equation, root), equation(root))
    return root
