"""Normalisation: the mean is subtracted first, then the variance is that of what is left.

The deviation from the mean is all that the backward pass needs of the image, and a mean much larger
than the deviation costs no digits. Scale and the inverse of the standard deviation are multiplied
for each channel before they meet the image.
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
    pixels, grouped = tuple(range(1, x.ndim - 1)), (x.shape[0], num_groups, -1)

    def over_groups(values: Array) -> Array:
        of_channels = jnp.mean(values, axis=pixels).reshape(grouped)
        of_groups = jnp.mean(of_channels, axis=2, keepdims=True)
        spread = jnp.broadcast_to(of_groups, of_channels.shape)
        return spread.reshape(x.shape[0], *(1,) * (x.ndim - 2), -1)

    deviation = x - over_groups(x)
    # A product, since `jnp.square` would store twice the deviation beside it.
    variance = over_groups(deviation * deviation)
    factor = lax.rsqrt(variance + jnp.asarray(epsilon, x.dtype)) * _last(scale, x.ndim)
    return deviation * factor + _last(bias, x.ndim)


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
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(x, axis=axes)
    deviation = x - _last(mean, x.ndim)
    variance = jnp.mean(deviation * deviation, axis=axes)
    factor = scale * lax.rsqrt(variance + jnp.asarray(epsilon, x.dtype))
    return deviation * _last(factor, x.ndim) + _last(bias, x.ndim), mean, variance


def _last(vector: Array, rank: int) -> Array:
    return vector.reshape(*(1,) * (rank - 1), -1)
