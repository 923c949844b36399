"""Paths through the states at the ends of all steps."""

import jax
import jax.numpy as jnp

from odenet.arrays import Array, Inexact, Int, State
from odenet.integrators.failure import Failure


def without_unreached(
    states: Inexact[Array, "layers steps batch *state"], failure: Int[Array, "layers *steps"]
) -> Inexact[Array, "layers steps batch *state"]:
    """The states at the ends of all steps, with NaN from the first state not reached on.

    Args:
        states: States as integrated, every layer from the last state of the one before.
        failure: Failure of every step, or of every layer, whose last state is the first missing.
    """
    broken = ((failure > 0) & (failure != int(Failure.OUTSIDE))).reshape(len(failure), -1)
    count, each = len(failure), states.shape[1]
    missing = jnp.zeros((count, each), bool).at[:, each - broken.shape[1] :].set(broken)
    missing = jax.lax.cummax(missing.reshape(-1).astype(jnp.int32)) > 0
    missing = missing.reshape(count, each, *(1,) * (states.ndim - 2))
    return jnp.where(missing, jnp.nan, states)


def path_through(
    h0: State, states: Inexact[Array, "layers steps batch *state"]
) -> Inexact[Array, "points batch *state"]:
    """The path from `h0` through the states at the ends of all steps."""
    return jnp.concatenate([h0[None], states.reshape(-1, *h0.shape)])
