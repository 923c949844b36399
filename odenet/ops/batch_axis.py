"""The batch as a whole, whichever devices hold its parts.

Where one program sees the whole batch (`jit`, sharded or not), a mean over the batch is one. Under
`pmap` a program sees its shard only; training names the mapped axis here while it traces, and means
over the batch go over all shards, so that many devices compute the same as one.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from odenet.arrays import Array, Key

_axis: contextvars.ContextVar[str | None] = contextvars.ContextVar("batch_axis", default=None)


@contextlib.contextmanager
def batch_axis(name: str | None) -> Iterator[None]:
    """While this is open, traced code belongs to one shard of the mapped axis `name`.

    None says that traced code has the whole batch.
    """
    token = _axis.set(name)
    try:
        yield
    finally:
        _axis.reset(token)


def mapped_axis() -> str | None:
    """The mapped axis of the code being traced, or None."""
    return _axis.get()


def mean_over_shards(mean: Array, axis: str | None) -> Array:
    """The mean over the whole batch, from that of one of its equal shards along `axis`."""
    return mean if axis is None else jax.lax.pmean(mean, axis)


def max_over_shards(largest: Array, axis: str | None) -> Array:
    """The largest of the whole batch, from that of one of its shards along `axis`."""
    return largest if axis is None else jax.lax.pmax(largest, axis)


_padding: contextvars.ContextVar[Any] = contextvars.ContextVar("padding", default=None)


@contextlib.contextmanager
def padded_batch(weights: Any) -> Iterator[None]:
    """While this is open, examples of weight 0 take no part in decisions for the whole batch.

    The steps of an adaptive solve are such a thing.

    Args:
        weights: One for every example, 0 for padding.
    """
    token = _padding.set(weights)
    try:
        yield
    finally:
        _padding.reset(token)


def padding_is_known() -> bool:
    """Whether some examples are marked as padding."""
    return _padding.get() is not None


def without_padding(x: Array) -> tuple[Array, Array | int]:
    """An array with zeros in place of padding, and the number of its elements that are none.

    Args:
        x: With the batch axis first; one without it is returned as it is.
    """
    weights = _padding.get()
    if weights is None or not x.ndim or len(x) != len(weights):
        return x, x.size
    real = weights > 0
    count = jnp.sum(real).astype(jnp.float32) * (x.size // len(x))
    return jnp.where(real.reshape(-1, *(1,) * (x.ndim - 1)), x, jnp.zeros_like(x)), count


def num_shards() -> int:
    """Number of shards of the batch; 1 where traced code has all of it."""
    axis = mapped_axis()
    return 1 if axis is None else jax.lax.axis_size(axis)


def example_keys(key: Key[Array, ""], num_examples: int) -> Key[Array, " examples"]:
    """A random key for every example, the same wherever the example is placed.

    Args:
        key: Random key of the whole batch.
        num_examples: Examples of the shard.
    """
    index = jnp.arange(num_examples, dtype=jnp.int32)
    axis = mapped_axis()
    if axis is not None:
        index = index + jax.lax.axis_index(axis).astype(jnp.int32) * num_examples
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(index)
