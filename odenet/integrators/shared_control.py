"""One step size for the whole batch.

An adaptive solver accepts a step by an error norm over the whole batch; with norms over parts of
the batch, the devices that hold them would take different steps.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from odenet.arrays import Array, Scalar, common_type
from odenet.ops.batch_axis import mapped_axis, max_over_shards, mean_over_shards, without_padding


def batch_rms(error: Any) -> Scalar:
    """Root of the mean square over all elements of the whole batch, differentiable at zero.

    It is computed in at least single precision, of numbers scaled by the largest, so that squares
    neither overflow nor underflow. For complex elements it is that of their moduli. Padding
    examples of a batch do not count (see `padded_batch`).

    Args:
        error: An array, or a tree of them; an array without batch axis counts once per shard.
    """
    counted = [without_padding(leaf) for leaf in jax.tree.leaves(error)]
    leaves = [x for leaf, _ in counted for x in _real_parts(leaf)]
    num_elements = sum(leaf.size for leaf in jax.tree.leaves(error))
    padded = any(not isinstance(size, int) for _, size in counted)
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf), initial=0) for leaf in leaves]))
    largest = max_over_shards(jax.lax.stop_gradient(largest), mapped_axis())
    limits = jnp.finfo(largest.dtype)  # at which the reciprocal of the unit is a normal number
    unit = jnp.clip(largest, 8 * limits.tiny, limits.max / 8)
    unit = jnp.where((largest > 0) & jnp.isfinite(largest), unit, jnp.ones_like(largest))
    squares = jnp.sum(jnp.stack([jnp.sum(jnp.square(leaf / unit)) for leaf in leaves]))
    # Shards are equal except for padding.
    mean_square = mean_over_shards(squares / num_elements, mapped_axis())
    if padded:
        real = jnp.asarray(sum(size for _, size in counted), squares.dtype) / num_elements
        mean_square = mean_square / mean_over_shards(real, mapped_axis())
    is_zero = mean_square == 0
    root = jnp.sqrt(jnp.where(is_zero, jnp.ones_like(mean_square), mean_square))
    return unit * jnp.where(is_zero, jnp.zeros_like(root), root)


def _real_parts(x: Array) -> tuple[Array, ...]:
    """A real array, or both parts of a complex one, in at least single precision."""
    parts = (x.real, x.imag) if jnp.iscomplexobj(x) else (x,)
    return tuple(part.astype(common_type(part.dtype, jnp.float32)) for part in parts)


@dataclasses.dataclass(frozen=True)
class RMSWithoutLast:
    """`batch_rms` of vectors without their last components, such as quadrature components.

    Args:
        count: Number of components without effect on the norm.
    """

    count: int

    def __call__(self, error: Any) -> Scalar:
        """The norm of an error, shape `(batch, width)`."""
        return batch_rms(error[:, : error.shape[1] - self.count])
