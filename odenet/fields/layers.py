"""Layers of convolutional fields and stems, with the names and initialisers of flax."""

import math
from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
from flax import nnx

from odenet.arrays import State
from odenet.errors import ConfigError
from odenet.fields.initialisers import InitialiserName, kernel_initialiser
from odenet.ops.batch_axis import num_shards
from odenet.ops.conv import conv_general_dilated
from odenet.ops.norm import batch_norm, frozen_norm, group_norm

Padding = Literal["symmetric", "same"]
"""Zero padding of an image. `symmetric`: half the kernel on every side, as in PyTorch. `same`: the
minimal padding that keeps every pixel, as `SAME` in Flax and TensorFlow; an odd number of zeros
puts the larger part after the last row and column."""


def padding_of(padding: Padding, kernel_size: int) -> str | int:
    """The `padding` argument of `convolution` for square kernels."""
    return "SAME" if padding == "same" else kernel_size // 2


def convolution(
    channels: int,
    outputs: int,
    kernel_size: int,
    stride: int = 1,
    padding: str | int = "SAME",
    *,
    init: InitialiserName = "lecun_normal",
    use_bias: bool = True,
    rngs: nnx.Rngs,
) -> nnx.Conv:
    """A convolution with square kernels, also fast on a CPU.

    Args:
        channels: Channels of its input.
        outputs: Channels of its output.
        kernel_size: Side of the kernels.
        stride: Stride of the windows.
        padding: `SAME`, `VALID`, or the zeros on each side.
        init: Name of the initialiser of the kernels.
        use_bias: Whether a bias is added.
        rngs: Random keys.
    """
    return nnx.Conv(
        channels,
        outputs,
        (kernel_size, kernel_size),
        (stride, stride),
        padding=padding,
        use_bias=use_bias,
        kernel_init=kernel_initialiser(init),
        conv_general_dilated=conv_general_dilated,
        rngs=rngs,
    )


def in_mode(part: Any, training: bool) -> Callable[..., Any]:
    """The part as a function: in training mode, its `with_batch_statistics`."""
    return part.with_batch_statistics if training else part


NORM_EPSILON = 1e-5
"""Default epsilon of batch norms, added to the variances."""

NORM_MOMENTUM = 0.1
"""Default momentum of batch norms: weight of the batch in the update of running statistics."""


class GroupNorm(nnx.Module):
    """Group normalisation (Wu and He 2018, arXiv:1803.08494); see `odenet.ops.norm.group_norm`.

    Args:
        channels: Number of channels.
        num_groups: Number of groups, a divisor of the channels.
        epsilon: Added to the variance, positive.
        rngs: Random keys; not used.
    """

    def __init__(self, channels: int, num_groups: int, epsilon: float, *, rngs: nnx.Rngs):
        del rngs
        self.num_groups = num_groups
        self.epsilon = epsilon
        self.scale = nnx.Param(jnp.ones(channels, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(channels, jnp.float32))

    def __call__(self, x: State) -> State:
        """The normalised state."""
        scale, bias = self.scale[...], self.bias[...]
        return group_norm(x, scale, bias, self.num_groups, self.epsilon)


class BatchNorm(nnx.Module):
    """Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167) of the last axis.

    `__call__` normalises by the running statistics, which is an affine map.
    `with_batch_statistics` normalises by the statistics of the batch and updates the running ones.

    Args:
        channels: Number of channels.
        epsilon: Added to the variance, positive.
        momentum: Weight of the batch in the update of the running statistics, in (0, 1].
        rngs: Random keys; not used.
    """

    def __init__(self, channels: int, epsilon: float, momentum: float, *, rngs: nnx.Rngs):
        del rngs
        self.epsilon = epsilon
        self.momentum = momentum
        self.scale = nnx.Param(jnp.ones(channels, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(channels, jnp.float32))
        self.mean = nnx.BatchStat(jnp.zeros(channels, jnp.float32))
        self.variance = nnx.BatchStat(jnp.ones(channels, jnp.float32))

    def __call__(self, x: State) -> State:
        """The state normalised by the running statistics."""
        scale, bias = self.scale[...], self.bias[...]
        return frozen_norm(x, scale, bias, self.mean[...], self.variance[...], self.epsilon)

    def with_batch_statistics(self, x: State) -> State:
        """The state normalised by the batch statistics; updates the running statistics.

        The running variance is updated by the unbiased estimate, as in PyTorch.

        Raises:
            ConfigError: if the batch has a single value per channel, on all devices together.
        """
        count = math.prod(x.shape[:-1]) * num_shards()
        if count < 2:
            raise ConfigError(
                f"batch norm in training needs at least two values per channel; got one, from a "
                f"batch of shape {x.shape}: its output would be the bias, and its gradient 0; use "
                f"a larger training.batch_size, larger images, training.batch_statistics=frozen, "
                f"or a field without batch norm (kind=mlp or conv)"
            )
        y, mean, variance = batch_norm(x, self.scale[...], self.bias[...], self.epsilon)
        unbiased = variance * (count / (count - 1))
        for running, new in ((self.mean, mean), (self.variance, unbiased)):
            running[...] = running[...] + self.momentum * (new - running[...])
        return y
