"""One step size for the whole batch.

An adaptive solver accepts a step by an error norm over the batch: over the whole of it, or devices
that hold its parts would drift apart.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from odenet.arrays import Scalar
from odenet.ops.batch_axis import mapped_axis, mean_over_shards


def batch_rms(error: Any) -> Scalar:
    """Root of the mean square over all elements of the whole batch, differentiable at zero.

    Args:
        error: An array, or a tree of them; what has no batch axis counts once per shard.
    """
    leaves = jax.tree.leaves(error)
    squares = jnp.sum(jnp.stack([jnp.sum(jnp.square(leaf)) for leaf in leaves]))
    mean_square = mean_over_shards(squares / sum(leaf.size for leaf in leaves), mapped_axis())
    is_zero = mean_square == 0
    root = jnp.sqrt(jnp.where(is_zero, jnp.ones_like(mean_square), mean_square))
    return jnp.where(is_zero, jnp.zeros_like(root), root)


@dataclasses.dataclass(frozen=True)
class RMSWithoutLast:
    """`batch_rms` of vectors without their last components, which then choose no step.

    Args:
        count: How many are left out.
    """

    count: int

    def __call__(self, error: Any) -> Scalar:
        """The norm of an error, shape `(batch, width)`."""
        return batch_rms(error[:, : error.shape[1] - self.count])
