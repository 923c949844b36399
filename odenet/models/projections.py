"""Maps between states of different shapes: stems, and the projections `P` between widths.

`y = P h + tau f(h)` needs a `P` wherever two states have different shapes (He et al. 2015,
arXiv:1512.03385, eq. 2; Antil, Díaz and Herberg 2022, arXiv:2204.08528, sec. 4). Here `P` stands
between the blocks, so that a block itself keeps its shape and can be integrated.
"""

import math
from typing import Annotated, Literal

import jax.numpy as jnp
from flax import nnx
from pydantic import Field, PositiveInt

from odenet.arrays import Array, Float, State
from odenet.errors import ConfigError
from odenet.fields.layers import convolution
from odenet.part import PartConfig

Shape = tuple[int, ...]


class Projection(nnx.Module):
    """A map of states, with the shape that it gives.

    Args:
        operation: The map, applied to a batch.
        shape: Shape of one example's state after it.
    """

    def __init__(self, operation: nnx.Module, shape: Shape):
        self.operation = operation
        self.shape = shape

    def __call__(self, x: Float[Array, "batch *inputs"]) -> State:
        """The projected state, shape `(batch, *shape)`."""
        return self.operation(x)  # pyright: ignore[reportCallIssue]


class _Identity(nnx.Module):
    def __call__(self, x):
        return x


class _Flatten(nnx.Module):
    def __call__(self, x):
        return x.reshape(x.shape[0], -1)


class _ZeroPad(nnx.Module):
    def __init__(self, missing: int, stride: int):
        self.missing = missing
        self.stride = stride

    def __call__(self, x):
        if x.ndim == 4:
            x = x[:, :: self.stride, :: self.stride]
        return jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, self.missing),))


class _Affine(nnx.Module):
    def __init__(self, inputs: int, width: int, *, rngs: nnx.Rngs):
        self.linear = nnx.Linear(inputs, width, rngs=rngs)

    def __call__(self, x):
        return self.linear(x.reshape(x.shape[0], -1))


class IdentityConfig(PartConfig):
    """The state as it is; the widths on both sides must be equal."""

    kind: Literal["identity"] = "identity"

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the projection of states of `shape`."""
        del rngs
        if shape[-1] != width or len(shape) not in (1, 3):
            raise ConfigError(
                f"a state of shape {shape} cannot be added to one of width {width} without a "
                f"projection; set kind to linear, conv or zero_pad, or make the widths equal"
            )
        return Projection(_Identity(), shape)


class FlattenConfig(PartConfig):
    """An image as a vector of its pixels."""

    kind: Literal["flatten"] = "flatten"

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the projection of states of `shape`."""
        del rngs
        if math.prod(shape) != width:
            raise ConfigError(
                f"flattening a state of shape {shape} gives width {math.prod(shape)}, not {width}; "
                f"set that width, or use kind=linear"
            )
        return Projection(_Flatten(), (width,))


class ZeroPadConfig(PartConfig):
    """Zeros in the new channels: option A of He et al. 2015; the augmentation of Dupont et al."""

    kind: Literal["zero_pad"] = "zero_pad"
    stride: PositiveInt = 1
    """Keep every `stride`-th row and column of an image."""

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the projection of states of `shape`."""
        del rngs
        if width < shape[-1]:
            raise ConfigError(
                f"zero_pad can only add channels: the state of shape {shape} has more than "
                f"{width}; use kind=linear or conv"
            )
        if len(shape) == 1 and self.stride != 1:
            raise ConfigError("zero_pad of a vector would ignore stride; remove it")
        size = tuple(-(-side // self.stride) for side in shape[:-1])
        return Projection(_ZeroPad(width - shape[-1], self.stride), (*size, width))


class LinearConfig(PartConfig):
    """An affine map of the flattened state to a vector."""

    kind: Literal["linear"] = "linear"

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the projection of states of `shape`."""
        return Projection(_Affine(math.prod(shape), width, rngs=rngs), (width,))


class ConvConfig(PartConfig):
    """A convolution, with a stride that makes the image smaller."""

    kind: Literal["conv"] = "conv"
    kernel_size: PositiveInt = 3
    stride: PositiveInt = 1

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the projection of states of `shape`."""
        if len(shape) != 3:
            raise ConfigError(
                f"kind=conv acts on images (height, width, channels), got a state of shape "
                f"{shape}; use kind=linear"
            )
        conv = convolution(shape[-1], width, self.kernel_size, self.stride, rngs=rngs)
        size = tuple(-(-side // self.stride) for side in shape[:-1])
        return Projection(conv, (*size, width))


ProjectionConfig = Annotated[
    IdentityConfig | FlattenConfig | ZeroPadConfig | LinearConfig | ConvConfig,
    Field(discriminator="kind"),
]
