"""Maps between states of different shapes: stems, and the projections `P` between widths.

`y = P h + tau f(h)` needs a `P` if the two states have different shapes (He et al. 2015,
arXiv:1512.03385, eq. 2; Antil, Díaz and Herberg 2022, arXiv:2204.08528, sec. 4). Here `P` is
between the blocks: a block keeps the shape of its state and can be integrated.
"""

import math
from typing import Any, ClassVar, Literal

import jax.numpy as jnp
from flax import nnx
from pydantic import FiniteFloat, PositiveInt, model_validator

from odenet.errors import ConfigError
from odenet.fields.activations import ActivationName
from odenet.fields.initialisers import InitialiserName, kernel_initialiser
from odenet.fields.layers import BatchNorm, Padding, convolution, padding_of
from odenet.models.batch_norm import NormedConfig
from odenet.models.maps import (
    Affine,
    Flatten,
    Followed,
    Identity,
    Matrix,
    Preceded,
    Projection,
    Shape,
    ZeroPad,
)
from odenet.models.projection_config import ProjectionConfig, ShortcutConfig


def _followed(
    affine: Any,
    norm: BatchNorm | None,
    activation_name: ActivationName,
    max_pool: Padding | None = None,
) -> Any:
    if norm is None and activation_name == "identity" and max_pool is None:
        return affine
    return Followed(affine, norm, activation_name, max_pool)


class IdentityConfig(ProjectionConfig, ShortcutConfig):
    """The identity; both widths must be equal."""

    is_identity: ClassVar[bool] = True

    kind: Literal["identity"] = "identity"

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the projection of states of `shape`."""
        del rngs
        if shape[-1] != width or len(shape) not in (1, 3):
            raise ConfigError(
                f"a state of shape {shape} cannot be added to one of width {width} without a "
                f"projection; set kind to linear, matrix, conv or zero_pad, or make widths equal"
            )
        return Projection(Identity(), shape)


class FlattenConfig(ProjectionConfig):
    """An image flattened to a vector."""

    kind: Literal["flatten"] = "flatten"

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the projection of states of `shape`."""
        del rngs
        if math.prod(shape) != width:
            raise ConfigError(
                f"flattening a state of shape {shape} gives width {math.prod(shape)}, not {width}; "
                f"set that width, or use kind=linear"
            )
        return Projection(Flatten(), (width,))


class ZeroPadConfig(ProjectionConfig, ShortcutConfig):
    """Zero padding of the channels: option A of He et al. 2015, augmentation of Dupont et al."""

    is_for_new_channels: ClassVar[bool] = True

    kind: Literal["zero_pad"] = "zero_pad"
    stride: PositiveInt = 1
    """Keep every `stride`-th row and column of an image."""
    zeros: Literal["after", "around"] = "after"
    """Position of the new channels: `after` the old ones, or half before and half after them, as in
    Y. Idelbayev's CIFAR networks for PyTorch."""

    @property
    def pads_behind(self) -> bool:
        """Whether the zeros are appended to the channels of the state."""
        return self.zeros == "after"

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
        missing = width - shape[-1]
        before = missing // 2 if self.zeros == "around" else 0
        return Projection(ZeroPad((before, missing - before), self.stride), (*size, width))


class LinearConfig(NormedConfig, ProjectionConfig):
    """An affine map of the flattened state to a vector."""

    kind: Literal["linear"] = "linear"
    bias: bool = True
    init: InitialiserName = "lecun_normal"
    """Initialiser of the weights, by name."""
    norm: Literal["none", "batch"] = "none"
    """The normalisation of its output."""
    activation: ActivationName = "identity"

    @model_validator(mode="after")
    def _norm_has_its_own_bias(self):
        self._refuse_idle_bias(self.bias)
        return self

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the projection of states of `shape`."""
        affine = Affine(math.prod(shape), width, self.init, self.bias, rngs=rngs)
        norm = self.build_norm(width, rngs=rngs)
        return Projection(_followed(affine, norm, self.activation), (width,))


class MatrixConfig(ProjectionConfig, ShortcutConfig):
    r"""$P x$ or $P x + b$ of a vector, with a matrix $P$ that is fixed or learned, and $b$ learned.

    The $P$ of Antil, Díaz and Herberg 2022 (arXiv:2204.08528, sec. 4) may be any matrix. An
    orthogonal one preserves lengths if the width grows ($P^T P = I$), and lengths in its row space
    if the width shrinks ($P P^T = I$).
    """

    kind: Literal["matrix"] = "matrix"
    values: tuple[tuple[FiniteFloat, ...], ...] | None = None
    """The matrix by rows, one for each new component; default: randomly initialised."""
    init: InitialiserName | None = None
    """Initialiser of the matrix, by name; default: orthogonal."""
    learned: bool = False
    """Whether the matrix is trained; the seed determines a random matrix in both cases."""
    bias: bool = False
    """Whether a bias is added, which is initialised to zero and trained."""

    @model_validator(mode="after")
    def _given_or_initialised(self):
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
            initialiser = kernel_initialiser(self.init or "orthogonal")
            kernel = initialiser(rngs.params(), (shape[0], width), jnp.float32)
        else:
            lengths = sorted({len(row) for row in self.values})
            if len(self.values) != width or lengths != [shape[0]]:
                raise ConfigError(
                    f"values needs {width} rows of {shape[0]} numbers to map a vector of width "
                    f"{shape[0]} to width {width}; got {len(self.values)} rows of {lengths}"
                )
            kernel = jnp.asarray(self.values, jnp.float32).T
        return Projection(Matrix(kernel, self.learned, self.bias), (width,))


class ConvConfig(NormedConfig, ProjectionConfig, ShortcutConfig):
    """A convolution, optionally with a stride.

    With `kernel_size: 1` and `bias: false` it is the projection shortcut of He et al. 2015: option
    B between stages of different widths, option C also between equal widths. With a norm and an
    activation it is their first layer.
    """

    kind: Literal["conv"] = "conv"
    kernel_size: PositiveInt = 3
    stride: PositiveInt = 1
    padding: Padding = "same"
    """Zero padding: `same`, the minimal padding that keeps every pixel, as in Flax and TensorFlow;
    `symmetric`, half the kernel on every side, as in PyTorch. They differ with a stride: for an
    even side, `same` puts one zero less before the first row and column."""
    bias: bool = True
    init: InitialiserName = "lecun_normal"
    """Initialiser of the kernels, by name; residual networks use `he_fan_out`."""
    norm: Literal["none", "batch"] = "none"
    """The normalisation of the channels."""
    activation: ActivationName = "identity"
    order: Literal["conv_first", "norm_first"] = "conv_first"
    """Whether norm and activation act after the convolution, or before it."""
    max_pool: bool = False
    """Whether a 3x3 max pooling with stride 2 follows."""
    pool_padding: Padding = "symmetric"
    """Padding of the max pooling, as for `padding`."""

    @model_validator(mode="after")
    def _norm_has_its_own_bias(self):
        if self.order == "conv_first":
            self._refuse_idle_bias(self.bias)
        elif self.norm == "none" and self.activation == "identity":
            raise ValueError(
                "order=norm_first needs a norm or an activation; set one, or remove it"
            )
        elif self.max_pool:
            raise ValueError("max_pool needs order=conv_first; remove one of the two")
        if not self.max_pool and self.pool_padding != "symmetric":
            raise ValueError("max_pool=false would ignore pool_padding; remove it")
        return self

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the projection of states of `shape`."""
        if len(shape) != 3:
            raise ConfigError(
                f"kind=conv acts on images (height, width, channels), got a state of shape "
                f"{shape}; use kind=linear"
            )
        if self.padding == "symmetric" and self.kernel_size % 2 == 0:
            raise ConfigError(
                f"padding=symmetric needs an odd kernel_size; got {self.kernel_size}; use same"
            )
        conv = convolution(
            shape[-1],
            width,
            self.kernel_size,
            self.stride,
            padding_of(self.padding, self.kernel_size),
            init=self.init,
            use_bias=self.bias,
            rngs=rngs,
        )
        size = tuple(-(-side // self.stride) for side in shape[:-1])
        if self.max_pool:
            size = tuple(-(-side // 2) for side in size)
        if self.order == "norm_first":
            norm = self.build_norm(shape[-1], rngs=rngs)
            return Projection(Preceded(norm, self.activation, conv), (*size, width))
        norm = self.build_norm(width, rngs=rngs)
        pooled = self.pool_padding if self.max_pool else None
        affine = _followed(conv, norm, self.activation, pooled)
        return Projection(affine, (*size, width))
