"""Maps between states of different shapes: stems, and the projections `P` between widths.

`y = P h + tau f(h)` needs a `P` wherever two states have different shapes (He et al. 2015,
arXiv:1512.03385, eq. 2; Antil, Díaz and Herberg 2022, arXiv:2204.08528, sec. 4). Here `P` stands
between the blocks, so that a block itself keeps its shape and can be integrated.
"""

import math
from typing import Annotated, Literal

import jax.numpy as jnp
from flax import nnx
from pydantic import Field, FiniteFloat, PositiveInt, model_validator

from odenet.arrays import Array, Float, State
from odenet.errors import ConfigError
from odenet.fields.initialisers import InitialiserName, kernel_initialiser
from odenet.fields.layers import convolution
from odenet.part import PartConfig

Shape = tuple[int, ...]


class FixedMatrix(nnx.Variable):
    """A matrix that belongs to a network, is stored with it, and is not trained."""


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
    def __init__(self, inputs: int, width: int, init: InitialiserName, *, rngs: nnx.Rngs):
        law = kernel_initialiser(init)
        self.linear = nnx.Linear(inputs, width, kernel_init=law, rngs=rngs)

    def __call__(self, x):
        return self.linear(x.reshape(x.shape[0], -1))


class _Matrix(nnx.Module):
    def __init__(self, kernel: Float[Array, "inputs width"], learned: bool, has_bias: bool):
        self.kernel = nnx.Param(kernel) if learned else FixedMatrix(kernel)
        self.bias = nnx.Param(jnp.zeros(kernel.shape[1], kernel.dtype)) if has_bias else None

    def __call__(self, x):
        y = x @ self.kernel[...]
        return y if self.bias is None else y + self.bias[...][None, :]


class IdentityConfig(PartConfig):
    """The state as it is; the widths on both sides must be equal."""

    kind: Literal["identity"] = "identity"

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the projection of states of `shape`."""
        del rngs
        if shape[-1] != width or len(shape) not in (1, 3):
            raise ConfigError(
                f"a state of shape {shape} cannot be added to one of width {width} without a "
                f"projection; set kind to linear, matrix, conv or zero_pad, or make widths equal"
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
    init: InitialiserName = "lecun_normal"
    """Law of the initial weights, by name."""

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the projection of states of `shape`."""
        return Projection(_Affine(math.prod(shape), width, self.init, rngs=rngs), (width,))


class MatrixConfig(PartConfig):
    r"""$P x$ or $P x + b$ of a vector, with a matrix $P$ that is fixed or learned, and $b$ learned.

    The $P$ of Antil, Díaz and Herberg 2022 (arXiv:2204.08528, sec. 4) may be any matrix. An
    orthogonal one keeps lengths where the width grows ($P^T P = I$), and those in its row space
    where it shrinks ($P P^T = I$).
    """

    kind: Literal["matrix"] = "matrix"
    values: tuple[tuple[FiniteFloat, ...], ...] | None = None
    """The matrix by rows, one for each new component; without it, it is drawn."""
    init: InitialiserName | None = None
    """Law of a matrix that is drawn, by name; without it, orthogonal."""
    learned: bool = False
    """Whether the matrix is trained; the seed decides one that is drawn, in either case."""
    bias: bool = False
    """Whether a vector is added, which starts at zero and is trained."""

    @model_validator(mode="after")
    def _given_or_drawn(self):
        if self.values is not None and self.init is not None:
            raise ValueError("values would ignore init; keep one of the two")
        return self

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the projection of states of `shape`."""
        if len(shape) != 1:
            raise ConfigError(
                f"kind=matrix acts on vectors, got a state of shape {shape}; use kind=conv with "
                f"kernel_size=1, or kind=linear"
            )
        if self.values is None:
            draw = kernel_initialiser(self.init or "orthogonal")
            kernel = draw(rngs.params(), (shape[0], width), jnp.float32)
        else:
            lengths = sorted({len(row) for row in self.values})
            if len(self.values) != width or lengths != [shape[0]]:
                raise ConfigError(
                    f"values needs {width} rows of {shape[0]} numbers to bring a vector of width "
                    f"{shape[0]} to width {width}; got {len(self.values)} rows of {lengths}"
                )
            kernel = jnp.asarray(self.values, jnp.float32).T
        return Projection(_Matrix(kernel, self.learned, self.bias), (width,))


class ConvConfig(PartConfig):
    """A convolution, with a stride that makes the image smaller.

    With `kernel_size: 1` and `bias: false` it is the projection shortcut of He et al. 2015: option
    B between stages whose widths differ, C where it also stands between equal widths.
    """

    kind: Literal["conv"] = "conv"
    kernel_size: PositiveInt = 3
    stride: PositiveInt = 1
    bias: bool = True
    init: InitialiserName = "lecun_normal"
    """Law of the initial kernels, by name; `he_fan_out` is that of residual networks."""

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the projection of states of `shape`."""
        if len(shape) != 3:
            raise ConfigError(
                f"kind=conv acts on images (height, width, channels), got a state of shape "
                f"{shape}; use kind=linear"
            )
        conv = convolution(
            shape[-1],
            width,
            self.kernel_size,
            self.stride,
            init=self.init,
            use_bias=self.bias,
            rngs=rngs,
        )
        size = tuple(-(-side // self.stride) for side in shape[:-1])
        return Projection(conv, (*size, width))


ProjectionConfig = Annotated[
    IdentityConfig | FlattenConfig | ZeroPadConfig | LinearConfig | MatrixConfig | ConvConfig,
    Field(discriminator="kind"),
]
