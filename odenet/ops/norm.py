r"""Normalisation, with a derivative rule that passes over the images as seldom as it can.

With the deviation $d = x - \mu$ and the factor $f = \gamma / \sqrt{\sigma^2 + \epsilon}$, the
output is $y = d f + \beta$. In a direction $\dot x$ it changes by $\dot x f + d a + b$, where $a$
and $b$ belong to a channel alone: they are made from the averages of $\dot x$ and of $d \dot x$,
since those of $d$ are zero. Transposed, that is one pass for two sums, shared by scale and bias,
and one for the image. What is stored is the deviation; and since the mean is subtracted before
squares are taken, a mean much larger than the deviation costs no digits.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from odenet.arrays import Array, Float
from odenet.ops.batch_axis import mapped_axis, mean_over_shards


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
    return _normalise(x, _last(scale, x.ndim), _last(bias, x.ndim), num_groups, epsilon, None)[0]


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
    scale, bias, axis = _last(scale, x.ndim), _last(bias, x.ndim), mapped_axis()
    y, mean, variance = _normalise(x, scale, bias, None, epsilon, axis)
    return y, mean.reshape(-1), variance.reshape(-1)


def frozen_norm(
    x: Float[Array, "batch *spatial channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    mean: Float[Array, " channels"],
    variance: Float[Array, " channels"],
    epsilon: float,
) -> Float[Array, "batch *spatial channels"]:
    r"""Batch norm with given statistics: an affine map of every channel.

    Args:
        x: Images.
        scale: $\gamma$.
        bias: $\beta$.
        mean: $\mu$.
        variance: $\sigma^2$.
        epsilon: $\epsilon$, positive.
    """
    factor = scale * lax.rsqrt(variance + jnp.asarray(epsilon, variance.dtype))
    return x * _last(factor, x.ndim) + _last(bias - mean * factor, x.ndim)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3, 4, 5))
def _normalise(
    x: Array,
    scale: Array,
    bias: Array,
    num_groups: int | None,
    epsilon: float,
    axis: str | None,
) -> tuple[Array, Array, Array]:
    """The output, mean and variance, all with the axes of `x`, as scale and bias have them."""
    deviation, mean, variance = _deviation(x, num_groups, axis)
    inverse = lax.rsqrt(variance + jnp.asarray(epsilon, x.dtype))
    return deviation * (inverse * scale) + bias, mean, variance


@_normalise.defjvp
def _normalise_jvp(num_groups, epsilon, axis, primals, tangents):
    x, scale, bias = primals
    dx, dscale, dbias = tangents
    deviation, mean, variance = _deviation(x, num_groups, axis)
    inverse = lax.rsqrt(variance + jnp.asarray(epsilon, x.dtype))
    factor = inverse * scale
    dmean = _average(dx, num_groups, axis)
    half_dvariance = _average(
        deviation * dx, num_groups, axis
    )  # the average of the deviation is zero
    slope = inverse * dscale - factor * (inverse * inverse) * half_dvariance
    shift = dbias - factor * dmean
    y, dy = deviation * factor + bias, dx * factor + deviation * slope + shift
    return (y, mean, variance), (dy, dmean, 2 * half_dvariance)


def _deviation(x: Array, num_groups: int | None, axis: str | None) -> tuple[Array, Array, Array]:
    mean = _average(x, num_groups, axis)
    deviation = x - mean
    # A product, since `jnp.square` would store twice the deviation beside it.
    return deviation, mean, _average(deviation * deviation, num_groups, axis)


def _average(x: Array, num_groups: int | None, axis: str | None) -> Array:
    """The mean for every channel: over the batch and pixels, or over each example's groups."""
    if num_groups is None:
        mean = jnp.mean(x, axis=tuple(range(x.ndim - 1)), keepdims=True)
        return mean_over_shards(mean, axis)
    of_channels = jnp.mean(x, axis=tuple(range(1, x.ndim - 1)), keepdims=True)
    # The mean over a group as one product with a small matrix; see `python -m benchmarks norms`.
    size = x.shape[-1] // num_groups
    group = jnp.arange(x.shape[-1]) // size
    mixing = (group[:, None] == group[None, :]).astype(x.dtype) / size
    return lax.dot_general(
        of_channels,
        mixing,
        (((x.ndim - 1,), (0,)), ((), ())),
        precision=lax.Precision.HIGHEST,
    )


def _last(vector: Array, rank: int) -> Array:
    return vector.reshape(*(1,) * (rank - 1), -1)
