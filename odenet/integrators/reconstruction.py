"""How far the states that a backward pass reconstructs are from those of the forward pass.

A reversible method with `remat=reversible` keeps its last state and computes the earlier ones from
it. In exact arithmetic they are the same; rounding grows where steps cannot be inverted stably, and
a gradient at wrong states is wrong. The first state is known, so that the error can be measured at
the cost of keeping it. Like the evaluations of a solve backwards (`backward_count`), it leaves the
backward pass as the cotangent of a number that nothing depends on.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from odenet.arrays import Scalar, State

LARGEST_ERROR = 1e-2
"""Largest relative error of a reconstructed first state with which training goes on.

Rounding alone leaves about 1e-6 in single precision. The relative error of a gradient is of the
size of this one: under momentum with gamma 0.9 they are 0.001 and 0.003 after 64 steps of 1, and
both above 1 after 128. At 1e-2 a gradient is still a direction of descent, and a few more steps of
a growth that is exponential make it noise."""

_probe: contextvars.ContextVar[Scalar | None] = contextvars.ContextVar("probe", default=None)


@contextlib.contextmanager
def measuring_reconstruction(probe: Scalar) -> Iterator[None]:
    """While this is open, the derivative of what is traced by `probe` is the error.

    It is the sum of the relative errors of all solves that reconstruct their states.

    Args:
        probe: Any number, by which the caller differentiates.
    """
    token = _probe.set(probe)
    try:
        yield
    finally:
        _probe.reset(token)


def open_probe() -> tuple[Scalar, ...]:
    """The probe, or nothing where none is open."""
    probe = _probe.get()
    return () if probe is None else (probe,)


def relative_error(found: State, known: State, end: State) -> Scalar:
    """Norm of the error of a reconstructed state over that of the state, both over the batch.

    Args:
        found: The state that was reconstructed.
        known: The state that it should be; where it is zero, the size of `end` counts.
        end: The last state of the solve.
    """

    def norm(x: State) -> Scalar:
        return jnp.sqrt(jnp.sum(jnp.square(jnp.abs(x))))

    size, of_end = norm(known), norm(end)
    scale = jnp.where(size > 0, size, jnp.where(of_end > 0, of_end, jnp.ones_like(size)))
    return norm(found - known) / scale


def reconstruction_error(integrator: Any, fields: Any, grid: Any, h0: State) -> Scalar:
    """Relative error of the first state, as the backward pass of this solve reconstructs it.

    A gradient of the solve is as wrong, or more. Above `LARGEST_ERROR` training stops.

    Args:
        integrator: Any; one that stores its states has no such error.
        fields: The vector fields of all layers.
        grid: The steps.
        h0: State at depth-time 0, shape `(batch, *state)`.

    Returns:
        A scalar, 0 where nothing is reconstructed.
    """

    def end(probe: Scalar) -> Scalar:
        with measuring_reconstruction(probe):
            return jnp.sum(jnp.abs(integrator.integrate(fields, grid, h0).h1))

    return jax.grad(end)(jnp.zeros((), jnp.float32))
