"""Convolutional fields on images: norm, activation, convolution, repeated."""

import itertools
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import Field, PositiveInt

from odenet.arrays import State, Time
from odenet.errors import ConfigError
from odenet.fields.base import ActivationName, TimeWeight, activation, require_rank
from odenet.part import PartConfig

_LAYOUT = ("NHWC", "HWIO", "NHWC")


class ConvField(nnx.Module):
    """`[norm, activation, convolution]` repeated, on images of constant size.

    The order is that of full pre-activation (He et al. 2016, arXiv:1603.05027, fig. 4e), with
    group norm in the place of batch norm (the field of torchdiffeq's MNIST example). Padding is
    by zeros, so that height and width stay.

    Args:
        width: Number of channels of the state.
        hidden: Channels between two convolutions.
        num_convolutions: Number of convolutions, at least 1.
        kernel_size: Side of the square kernels, odd.
        num_groups: Groups of the group norm; 0 for no normalisation.
        activation_name: Name of the activation.
        takes_time: Whether every convolution has weights for the time.
        rngs: Random keys.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        num_convolutions: int,
        kernel_size: int,
        num_groups: int,
        activation_name: ActivationName,
        takes_time: bool,
        *,
        rngs: nnx.Rngs,
    ):
        widths = (width, *(hidden,) * (num_convolutions - 1), width)
        pairs = list(itertools.pairwise(widths))
        window = (kernel_size, kernel_size)
        self.activation_name: ActivationName = activation_name
        self.norms = nnx.List(
            [nnx.GroupNorm(i, num_groups=num_groups, rngs=rngs) for i, _ in pairs]
            if num_groups
            else []
        )
        self.convolutions = nnx.List(
            [nnx.Conv(i, o, window, padding="SAME", rngs=rngs) for i, o in pairs]
        )
        self.time = nnx.List(
            [TimeWeight((*window, 1, o), kernel_size**2 * (i + 1), rngs=rngs) for i, o in pairs]
            if takes_time
            else []
        )

    def __call__(self, t: Time, h: State) -> State:
        """dh/dt at `(t, h)`, shape `(batch, height, width, channels)`."""
        sigma = activation(self.activation_name)
        ones = jnp.ones((1, *h.shape[1:3], 1), h.dtype)
        x = h
        for index, convolution in enumerate(self.convolutions):
            if self.norms:
                x = self.norms[index](x)
            x = convolution(sigma(x))
            if self.time:
                kernel = self.time[index].kernel[...]
                of_ones = jax.lax.conv_general_dilated(
                    ones, kernel, (1, 1), "SAME", dimension_numbers=_LAYOUT
                )
                x = x + t * of_ones
        return x


class ConvFieldConfig(PartConfig):
    """A convolutional field on images."""

    kind: Literal["conv"] = "conv"
    activation: ActivationName = "relu"
    num_convolutions: PositiveInt = 2
    hidden: PositiveInt | None = None
    """Channels between two convolutions; without it, those of the state."""
    kernel_size: PositiveInt = 3
    """Side of the square kernels, an odd number."""
    norm: Literal["group", "none"] = "group"
    num_groups: PositiveInt | None = Field(default=None)
    """Groups of the group norm, a divisor of the channels; without it, the largest divisor of the
    channels that is at most 32."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse options that do not fit a state of `shape` (one example's)."""
        require_rank("conv", shape, 3, "use field kind=mlp, or a stem of kind=conv")
        if self.kernel_size % 2 == 0:
            raise ConfigError(
                f"kernel_size must be odd, so that images keep their size; got {self.kernel_size}"
            )
        if self.norm == "none" and self.num_groups is not None:
            raise ConfigError("norm=none would ignore num_groups; remove one of the two")
        if self.hidden is not None and self.num_convolutions == 1:
            raise ConfigError("num_convolutions=1 would ignore hidden; remove one of the two")
        for channels in (shape[-1], self.hidden or shape[-1]):
            if self.num_groups is not None and channels % self.num_groups:
                raise ConfigError(
                    f"num_groups must divide the channels {channels}; got {self.num_groups}"
                )

    def build(self, shape: tuple[int, ...], takes_time: bool, *, rngs: nnx.Rngs) -> ConvField:
        """Make the field for states of `shape` `(height, width, channels)`."""
        self.check(shape)
        width, hidden = shape[-1], self.hidden or shape[-1]
        groups = self.num_groups or max(
            n for n in range(1, 33) if width % n == 0 and hidden % n == 0
        )
        return ConvField(
            width,
            hidden,
            self.num_convolutions,
            self.kernel_size,
            groups if self.norm == "group" else 0,
            self.activation,
            takes_time,
            rngs=rngs,
        )
