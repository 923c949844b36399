"""One step of an embedded method: its stages, its error estimate, its dense output."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from odenet.arrays import Array, Inexact, State, Time
from odenet.integrators.embedded import EmbeddedTableau

Between = Inexact[Array, "points batch *state"]
"""States at fractions of an interval."""

Derivative = Callable[[Time, State], State]
"""`derivative(s, h)`: the derivative with respect to `s`, from 0 to 1 over the interval."""


def take_step(
    method: EmbeddedTableau, derivative: Derivative, s: Time, ds: Time, h0: State, first: State
) -> tuple[State, list[State]]:
    """The state after a step, and the derivatives of all stages but the last, which is taken there.

    Args:
        method: The method.
        derivative: The derivative.
        s: Start of the step.
        ds: Its length.
        h0: State at `s`.
        first: Derivative at `s`.
    """
    tableau, stages, h = method.tableau, [first], h0
    for row, c in zip(tableau.a[1:], tableau.c[1:], strict=True):
        h = h0 + _increment(ds, row, stages)
        if len(stages) < tableau.num_stages - 1:
            stages.append(derivative(s + c * ds, h))
    return h, stages


def error_estimate(method: EmbeddedTableau, ds: Time, stages: list[State]) -> State:
    """The estimated error of a step, from the derivatives of all its stages."""
    return _increment(ds, method.error, stages)


def _increment(ds: Time, weights: tuple[float, ...], stages: list[State]) -> State:
    """`ds * sum(weights * stages)`, summed before the addition to a possibly far larger state."""
    terms = [w * stage for w, stage in zip(weights, stages, strict=True) if w]
    if not terms:
        return jnp.zeros_like(stages[0])
    return ds.astype(stages[0].dtype) * functools.reduce(operator.add, terms)


def dense_output(
    method: EmbeddedTableau, s: Time, ds: Time, h0: State, h1: State, stages: Any, parts: Any
) -> Between:
    """The states at the `parts` of the interval inside a step, with zeros at all others.

    Hairer, Nørsett and Wanner 1993, sec. II.6: Hermite's cubic plus a quartic term.
    """
    column = (-1, *(1,) * h0.ndim)
    theta = jnp.clip((parts - s) / ds, 0, 1).reshape(column).astype(h0.dtype)
    length = ds.astype(h0.dtype)
    rise = h1 - h0
    left = length * stages[0] - rise
    right = rise - length * stages[-1] - left
    quartic = _increment(ds, method.dense, stages)
    inner = left[None] + theta * (right[None] + (1 - theta) * quartic[None])
    dense = h0[None] + theta * (rise[None] + (1 - theta) * inner)
    inside = _inside(parts, s, ds).reshape(column)
    return jnp.where(inside, dense, jnp.zeros_like(dense))


def _inside(parts: Any, s: Time, ds: Time) -> Any:
    """Which parts belong to the step from `s`: each to one, 0 to the first and 1 to the last."""
    return ((parts > s) | (s == 0)) & ((parts <= s + ds) | (s + ds >= 1))
