"""A partitioned field in the form of diffrax's symplectic solvers: one term per part."""

from collections.abc import Callable
from typing import Any

import diffrax
import jax.numpy as jnp

from odenet.arrays import Array, Float, State, Time

Part = Float[Array, "batch *part"]
Parts = tuple[Part, Part]
"""`(z, y)` of a state `[y; z]`: in the order of their updates."""
Terms = tuple[diffrax.ODETerm, diffrax.ODETerm]


def separated(derivative: Callable[[Time, State, Any], State], h0: State) -> tuple[Terms, Parts]:
    """The terms of `y' = f_y(t, z)`, `z' = f_z(t, y)`, and the parts of the initial state.

    Args:
        derivative: `derivative(t, h, args)` of a separable field, `[f_y(t, z); f_z(t, y)]`.
        h0: Shape `(batch, *state)`; its parts are the halves of its last axis.
    """

    def of_z(t, y, args):
        return jnp.split(derivative(t, jnp.concatenate([y, y], axis=-1), args), 2, axis=-1)[1]

    def of_y(t, z, args):
        return jnp.split(derivative(t, jnp.concatenate([z, z], axis=-1), args), 2, axis=-1)[0]

    y, z = jnp.split(h0, 2, axis=-1)
    return (diffrax.ODETerm(of_z), diffrax.ODETerm(of_y)), (z, y)


def joined(parts: Parts) -> State:
    """The state `[y; z]` of its parts `(z, y)`."""
    z, y = parts
    return jnp.concatenate([y, z], axis=-1)
