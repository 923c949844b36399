"""The error of the states that a backward pass reconstructs, relative to the forward pass.

A reversible method with `remat=reversible` keeps its last state and computes the earlier ones from
it. In exact arithmetic they are the same; rounding errors grow if steps cannot be inverted stably,
and a gradient at wrong states is wrong. The initial state is known, so that the error can be
measured at the cost of keeping it. Like the evaluations of a backward solve (`backward_count`), it
leaves the backward pass as the cotangent of a number with no effect on the result.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from odenet.arrays import Scalar, State

LARGEST_ERROR = 1e-2
"""Largest relative error of a reconstructed initial state with which training continues.

Rounding alone causes about 1e-6 in single precision. The relative error of a gradient has the size
of this one: under momentum with gamma 0.9 they are 0.001 and 0.003 after 64 steps of 1, and both
above 1 after 128. At 1e-2 a gradient is still a direction of descent; the growth is exponential,
and a few more steps make the gradient noise."""

_probe: contextvars.ContextVar[Scalar | None] = contextvars.ContextVar("probe", default=None)


@contextlib.contextmanager
def measuring_reconstruction(probe: Scalar) -> Iterator[None]:
    """While this is open, the derivative with respect to `probe` is the reconstruction error.

    It is the sum of the relative errors of all solves that reconstruct their states.

    Args:
        probe: Any number with respect to which the caller differentiates.
    """
    token = _probe.set(probe)
    try:
        yield
    finally:
        _probe.reset(token)


def open_probe() -> tuple[Scalar, ...]:
    """The probe as a tuple of one, or an empty tuple if none is open."""
    probe = _probe.get()
    return () if probe is None else (probe,)


def relative_error(found: State, known: State, end: State) -> Scalar:
    """Norm of the error of a reconstructed state over that of the state, both over the batch.

    Args:
        found: The reconstructed state.
        known: The exact state; if it is zero, the norm of `end` is used.
        end: The last state of the solve.
    """

    def norm(x: State) -> Scalar:
        return jnp.sqrt(jnp.sum(jnp.square(jnp.abs(x))))

    size, of_end = norm(known), norm(end)
    scale = jnp.where(size > 0, size, jnp.where(of_end > 0, of_end, jnp.ones_like(size)))
    return norm(found - known) / scale


def reconstruction_error(integrator: Any, fields: Any, grid: Any, h0: State) -> Scalar:
    """Relative error of the initial state as reconstructed by the backward pass of this solve.

    The error of a gradient of the solve is as large, or larger. Above `LARGEST_ERROR` training
    stops.

    Args:
        integrator: Any integrator; one that stores its states has error 0.
        fields: The vector fields of all layers.
        grid: The steps.
        h0: State at depth-time 0, shape `(batch, *state)`.

    Returns:
        A scalar, 0 if nothing is reconstructed.
    """

    def end(probe: Scalar) -> Scalar:
        with measuring_reconstruction(probe):
            return jnp.sum(jnp.abs(integrator.integrate(fields, grid, h0).h1))

    return jax.grad(end)(jnp.zeros((), jnp.float32))
