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
    mean, variance = _moments(x, tuple(range(1, x.ndim - 1)))
    grouped = (x.shape[0], num_groups, -1)
    mean, variance = mean.reshape(grouped), variance.reshape(grouped)
    group_mean = jnp.mean(mean, axis=2, keepdims=True)
    group_variance = jnp.mean(variance + jnp.square(mean - group_mean), axis=2, keepdims=True)
    factor = lax.rsqrt(group_variance + jnp.asarray(epsilon, x.dtype))
    factor = jnp.broadcast_to(factor, mean.shape).reshape(x.shape[0], -1) * scale[None]
    group_mean = jnp.broadcast_to(group_mean, mean.shape).reshape(x.shape[0], -1)
    return _affine(x, factor, bias[None] - group_mean * factor)


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
    mean, variance = _moments(x, tuple(range(x.ndim - 1)))
    mean, variance = mean.reshape(-1), variance.reshape(-1)
    factor = scale * lax.rsqrt(variance + jnp.asarray(epsilon, x.dtype))
    return _affine(x, factor[None], (bias - mean * factor)[None]), mean, variance


def _moments(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean and variance over `axes`, which are kept with size 1."""
    first = tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(x.ndim))
    shift = lax.stop_gradient(x[first])
    difference = x - shift
    mean = jnp.mean(difference, axis=axes, keepdims=True)
    square = jnp.mean(jnp.square(difference), axis=axes, keepdims=True)
    variance = square - jnp.square(mean)
    return mean + shift, jnp.maximum(variance, jnp.zeros((), x.dtype))


def _affine(x: Array, factor: Array, summand: Array) -> Array:
    """`x * factor + summand` with one number per example and channel, or per channel."""
    shape = (factor.shape[0], *(1,) * (x.ndim - 2), -1)
    return x * factor.reshape(shape) + summand.reshape(shape)
