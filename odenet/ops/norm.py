r"""Normalisation, with a derivative rule that passes over the images as seldom as it can.

With the centred input $d = x - \mu$ and the factor $f = \gamma / \sqrt{\sigma^2 + \epsilon}$, the
output is $y = d f + \beta$. In a direction $\dot x$ it changes by $\dot x f + d a + b$, where $a$
and $b$ belong to a channel alone: they are made from the averages of $\dot x$ and of $d \dot x$,
since those of $d$ are zero. Transposed, that is one pass for two sums, shared by scale and bias,
and one for the image. The centred input is stored. One value of a channel is subtracted before
the mean is taken, and the mean before squares are: a mean much larger than the standard deviation
costs no digits, and a constant channel gives exactly the bias. Statistics are in single precision
at least, whatever the images are.
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
        The normalised images, in the precision of the operands, $\mu$, and $\sigma^2$ (the mean
        square, not the unbiased estimate), in single precision or better.
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
    r"""Batch norm with frozen statistics: an affine map of every channel.

    Args:
        x: Images.
        scale: $\gamma$.
        bias: $\beta$.
        mean: $\mu$.
        variance: $\sigma^2$.
        epsilon: $\epsilon$, positive.
    """
    dtype = jnp.result_type(x, scale, bias, mean, variance)
    x, scale, bias, mean, variance = _widened(x, scale, bias, mean, variance)
    factor = scale * lax.rsqrt(variance + jnp.asarray(epsilon, variance.dtype))
    # The mean first: in `x f - mean f` the digits of a large mean would cover those of the rest.
    y = (x - _last(mean, x.ndim)) * _last(factor, x.ndim) + _last(bias, x.ndim)
    return y.astype(dtype)


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
    dtype = jnp.result_type(x, scale, bias)
    x, scale, bias = _widened(x, scale, bias)
    centred, rest, mean, variance = _centred(x, num_groups, axis)
    inverse = lax.rsqrt(variance + jnp.asarray(epsilon, x.dtype))
    factor = inverse * scale
    return (centred * factor + (bias - rest * factor)).astype(dtype), mean, variance


@_normalise.defjvp
def _normalise_jvp(num_groups, epsilon, axis, primals, tangents):
    dtype = jnp.result_type(*primals)
    x, scale, bias = _widened(*primals)
    dx, dscale, dbias = _widened(*tangents)
    centred, rest, mean, variance = _centred(x, num_groups, axis)
    inverse = lax.rsqrt(variance + jnp.asarray(epsilon, x.dtype))
    factor = inverse * scale
    dmean = _average(dx, num_groups, axis)
    # The average of the centred input without its rest is zero.
    half_dvariance = _average(centred * dx, num_groups, axis) - rest * dmean
    factor_rate = inverse * dscale - factor * (inverse * inverse) * half_dvariance
    y = centred * factor + (bias - rest * factor)
    dy = dx * factor + centred * factor_rate + (dbias - factor * dmean - rest * factor_rate)
    return (y.astype(dtype), mean, variance), (dy.astype(dtype), dmean, 2 * half_dvariance)


def _widened(*arrays: Array) -> tuple[Array, ...]:
    """The arrays in single precision where theirs is less: statistics need its digits and range."""
    return tuple(
        array if array.dtype.itemsize >= 4 else array.astype(jnp.float32) for array in arrays
    )


def _centred(
    x: Array, num_groups: int | None, axis: str | None
) -> tuple[Array, Array, Array, Array]:
    """The centred input, the rounding error of its average, the mean, and the variance.

    The mean of a channel that hardly varies is rounded at its last digit, which may be all of the
    centred input. Differences to a value of the channel are exact, and their mean is as small as
    they are: it gives the error of the rounded mean.
    """
    origin = _origin(x, num_groups, axis)
    offset = _average(x - origin, num_groups, axis)
    mean = origin + offset
    rest = offset - (mean - origin)
    centred = x - mean
    # A product, since `jnp.square` would store twice the centred input beside it.
    variance = _average(centred * centred, num_groups, axis) - rest * rest
    return centred, rest, mean, variance


def _origin(x: Array, num_groups: int | None, axis: str | None) -> Array:
    """A value of every channel, or of every example's groups, the same on all shards.

    No result depends on it but by rounding, so nothing is differentiated by it.
    """
    first = lax.stop_gradient(x[:, *(slice(1),) * (x.ndim - 2)])
    if num_groups is None:
        first = first[:1]
        return first if axis is None else lax.pmax(first, axis)
    size = x.shape[-1] // num_groups
    of_groups = first.reshape(*first.shape[:-1], num_groups, size)[..., :1]
    return jnp.broadcast_to(of_groups, (*of_groups.shape[:-1], size)).reshape(first.shape)


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
