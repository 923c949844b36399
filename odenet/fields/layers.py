"""Layers of convolutional fields and stems, with the names and initialisers of flax."""

import jax.numpy as jnp
from flax import nnx

from odenet.arrays import State
from odenet.fields.initialisers import InitialiserName, kernel_initialiser
from odenet.ops.conv import conv_general_dilated
from odenet.ops.norm import group_norm


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
    """A convolution with square kernels, fast on a CPU too.

    Args:
        channels: Channels of its input.
        outputs: Channels of its output.
        kernel_size: Side of the kernels.
        stride: Distance between two windows.
        padding: `SAME`, `VALID`, or the zeros on each side.
        init: Name of the law of the kernels.
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


class GroupNorm(nnx.Module):
    """Group normalisation (Wu and He 2018, arXiv:1803.08494); see `odenet.ops.norm.group_norm`.

    Args:
        channels: Number of channels.
        num_groups: Number of groups, a divisor of the channels.
        epsilon: Added to the variance, positive.
        rngs: Random keys; none is drawn.
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
