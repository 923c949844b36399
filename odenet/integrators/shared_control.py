"""One step size for the whole batch.

An adaptive solver accepts a step by an error norm over the batch: over the whole of it, or devices
that hold its parts would drift apart.
"""

import jax.numpy as jnp

from odenet.arrays import Array, Scalar
from odenet.ops.batch_axis import mapped_axis, mean_over_shards


def batch_rms(error: Array) -> Scalar:
    """Root of the mean square over all elements of the whole batch, differentiable at zero."""
    mean_square = mean_over_shards(jnp.mean(jnp.square(error)), mapped_axis())
    is_zero = mean_square == 0
    root = jnp.sqrt(jnp.where(is_zero, jnp.ones_like(mean_square), mean_square))
    return jnp.where(is_zero, jnp.zeros_like(root), root)
