"""Normalisation in two passes over the image: one for the moments, one for scale and shift.

Moments are taken per channel first, and then over the few channels of a group; scale, shift, mean
and variance become one factor and one summand per channel. Sums are of differences from one pixel
of the image, so that a mean much larger than the deviation costs no digits of the variance.
"""

import jax.numpy as jnp
from jax import lax

from odenet.arrays import Array, Float


def group_norm(
    x: Float[Array, "batch *spatial channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    num_groups: int,
    epsilon: float,
) -> Float[Array, "batch *spatial channels"]:
    r"""Zero mean and unit variance over the pixels and channels of a group of each example.

    $y = \gamma (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$ (Wu and He 2018, arXiv:1803.08494,
    eqs. 1 and 2).

    Args:
        x: Images.
        scale: $\gamma$.
        bias: $\beta$.
        num_groups: Number of groups, a divisor of the channels.
        epsilon: $\epsilon$, positive.
    """
    difference, shift, mean, variance = _moments(x, tuple(range(1, x.ndim - 1)))
    grouped = (x.shape[0], num_groups, -1)
    mean, variance = (mean + shift).reshape(grouped), variance.reshape(grouped)
    group_mean = jnp.mean(mean, axis=2, keepdims=True)
    group_variance = jnp.mean(variance + jnp.square(mean - group_mean), axis=2, keepdims=True)
    factor = lax.rsqrt(group_variance + jnp.asarray(epsilon, x.dtype))
    per_channel = (x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1])
    factor = jnp.broadcast_to(factor, mean.shape).reshape(per_channel) * _last(scale, x.ndim)
    group_mean = jnp.broadcast_to(group_mean, mean.shape).reshape(per_channel)
    return difference * factor + (_last(bias, x.ndim) - (group_mean - shift) * factor)


def batch_norm(
    x: Float[Array, "batch *spatial channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    epsilon: float,
) -> tuple[
    Float[Array, "batch *spatial channels"], Float[Array, " channels"], Float[Array, " channels"]
]:
    r"""Zero mean and unit variance of every channel over the batch and all pixels.

    $y = \gamma (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$ (Ioffe and Szegedy 2015,
    arXiv:1502.03167, alg. 1).

    Args:
        x: Images.
        scale: $\gamma$.
        bias: $\beta$.
        epsilon: $\epsilon$, positive.

    Returns:
        The normalised images, $\mu$, and $\sigma^2$ (the mean square, not the unbiased estimate).
    """
    difference, shift, mean, variance = _moments(x, tuple(range(x.ndim - 1)))
    factor = _last(scale, x.ndim) * lax.rsqrt(variance + jnp.asarray(epsilon, x.dtype))
    y = difference * factor + (_last(bias, x.ndim) - mean * factor)
    return y, (mean + shift).reshape(-1), variance.reshape(-1)


def _moments(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array, Array, Array]:
    """`x - shift`, `shift`, and the mean and variance of `x - shift` over `axes`, kept as size 1.

    All that follows uses the difference, so that it alone is stored for the backward pass (and its
    square is written as a product, since `jnp.square` would store twice the difference beside it).
    """
    first = tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(x.ndim))
    shift = lax.stop_gradient(x[first])
    difference = x - shift
    mean = jnp.mean(difference, axis=axes, keepdims=True)
    square = jnp.mean(difference * difference, axis=axes, keepdims=True)
    variance = square - mean * mean
    return difference, shift, mean, jnp.maximum(variance, jnp.zeros((), x.dtype))


def _last(vector: Array, rank: int) -> Array:
    return vector.reshape(*(1,) * (rank - 1), -1)
