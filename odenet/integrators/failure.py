"""The reason why a solve did not reach t1, as a number in compiled code."""

import enum
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from odenet.arrays import Array, Count, Flag, Scalar, State, Time
from odenet.ops.batch_axis import mapped_axis, mean_over_shards, without_padding


class Failure(enum.IntEnum):
    """The reason why a solve did not reach t1; 0 if it did."""

    NONE = 0
    MAX_STEPS = 1
    STEP_TOO_SMALL = 2
    NOT_FINITE = 3
    EQUATION = 4
    OUTSIDE = 5
    OVER_BUDGET = 6
    PRECISION = 7
    RECONSTRUCTION = 8

    @property
    def reason(self) -> str:
        """The failure in words, and the remedy."""
        return _REASONS[self]


_REASONS = {
    Failure.NONE: "it reached t1",
    Failure.MAX_STEPS: (
        "it needed more than integrator.max_steps; raise max_steps, or loosen the tolerances "
        "(integrator.rtol and atol of dopri5 and bosh3, integrator.controller.rtol and atol of "
        "diffrax)"
    ),
    Failure.STEP_TOO_SMALL: (
        "its steps became smaller than min_step, or too small to change time in floating point; "
        "the field is stiff or jumps: loosen rtol and atol, name the jumps in break_points, use an "
        "implicit solver (integrator.kind=diffrax with solver=kvaerno3), or lower min_step"
    ),
    Failure.NOT_FINITE: (
        "its state or its error is not finite, however short the step; lower training.optimizer."
        "learning_rate, set training.optimizer.gradient_clip, or use a field that is bounded "
        "(activation tanh)"
    ),
    Failure.EQUATION: (
        "the equation of an implicit step was not solved; raise root_finder.max_iterations, loosen "
        "root_finder.rtol and atol, take more steps, or let the solver choose them "
        "(controller.kind=pid)"
    ),
    Failure.OUTSIDE: (
        "grid points lie outside the interval that is solved, since step sizes of one layer have "
        "both signs; leave the path out, or keep step sizes positive"
    ),
    Failure.OVER_BUDGET: (
        "it took more evaluations of the field than training.nfe_budget; raise it, loosen rtol and "
        "atol, or keep the field simple by a penalty or a lower learning rate"
    ),
    Failure.PRECISION: (
        "its tolerances or its steps are below the resolution of the state's precision; use "
        "states in float32 or float64, or loosen rtol and atol"
    ),
    Failure.RECONSTRUCTION: (
        "gradients at wrong states are wrong: rounding grows where steps cannot be inverted "
        "stably; store the states (integrator.remat=step or sqrt, the same network), take fewer or "
        "shorter steps, or choose gamma or coupling nearer to 1"
    ),
}


def verdict_of_step(
    next_step: Time, accepted: Flag, error: Scalar, min_step: float | None
) -> Scalar | Array:
    """The failure of a step that was tried, if the next one would be too short.

    A rejected step has failed if the next step would not change time in floating point, and any
    step has failed if the next is shorter than `min_step`.

    Args:
        next_step: Length of the next step, as a fraction of the interval.
        accepted: Whether the step was taken.
        error: Norm of its estimated error.
        min_step: Smallest length, or None for the smallest step by which time changes.
    """
    smallest = jnp.finfo(next_step.dtype).eps if min_step is None else min_step
    checked = ~accepted if min_step is None else jnp.ones_like(accepted)
    stuck = checked & (jnp.abs(next_step) < smallest)
    why = jnp.where(jnp.isfinite(error), int(Failure.STEP_TOO_SMALL), int(Failure.NOT_FINITE))
    return jnp.where(stuck, why, int(Failure.NONE)).astype(jnp.int32)


def failure_of_state(*states: Array) -> Count:
    """`NOT_FINITE` if states of the whole batch contain a number that is not finite.

    A solve with such an initial state or derivative has failed before its first step: no shorter
    step helps.
    """
    real = [without_padding(h)[0] for h in states]
    broken = jnp.any(jnp.stack([jnp.any(~jnp.isfinite(h)) for h in real])).astype(jnp.float32)
    somewhere = mean_over_shards(broken, mapped_axis()) > 0
    return jnp.where(somewhere, int(Failure.NOT_FINITE), int(Failure.NONE)).astype(jnp.int32)


def failure_of_precision(
    h: State, rtol: float, atol: float, rounding: float, norm: Callable[[Any], Scalar]
) -> Count:
    """`PRECISION` if rounding a state alone makes an error above the tolerances.

    Nothing is computed if `rtol` is an eighth of `rounding` or more: the error due to rounded
    values of the field is then within an order of magnitude of the tolerance.

    Args:
        h: The state.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        rounding: Largest relative error of a rounded state.
        norm: Norm of scaled errors, over the whole batch.
    """
    if 8 * rtol >= rounding:
        return jnp.zeros((), jnp.int32)
    size = jnp.abs(jax.lax.stop_gradient(h))
    above = norm(rounding * size / (atol + rtol * size)) > 1
    return jnp.where(above, int(Failure.PRECISION), int(Failure.NONE)).astype(jnp.int32)


def first_failure(*failures: Any) -> Any:
    """The first nonzero failure."""
    found = failures[0]
    for failure in failures[1:]:
        found = jnp.where(found > 0, found, failure)
    return found
