"""One step size for the whole batch, whichever devices hold its parts.

An adaptive solver accepts a step by an error norm over the batch. Where one program sees the whole
batch (`jit`, sharded or not) that norm is the batch's. Under `pmap` a program sees its shard only,
and devices would drift apart; training names the mapped axis here while it traces, and the norm is
averaged over it, so that every device takes the steps that one device would have taken.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from odenet.arrays import Array, Scalar

_axis: contextvars.ContextVar[str | None] = contextvars.ContextVar("batch_axis", default=None)


@contextlib.contextmanager
def batch_axis(name: str | None) -> Iterator[None]:
    """While this is open, what is traced belongs to one shard of the mapped axis `name`.

    None says that what is traced sees the whole batch.
    """
    token = _axis.set(name)
    try:
        yield
    finally:
        _axis.reset(token)


def batch_rms(error: Array) -> Scalar:
    """Root of the mean square over all elements of the whole batch, differentiable at zero."""
    mean_square = jnp.mean(jnp.square(error))
    axis = _axis.get()
    if axis is not None:
        mean_square = jax.lax.pmean(mean_square, axis)
    is_zero = mean_square == 0
    root = jnp.sqrt(jnp.where(is_zero, jnp.ones_like(mean_square), mean_square))
    return jnp.where(is_zero, jnp.zeros_like(root), root)
