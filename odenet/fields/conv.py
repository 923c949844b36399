"""Convolutional fields on images: norm, activation, convolution, repeated."""

import itertools
from typing import Annotated, ClassVar, Literal

import jax.numpy as jnp
from flax import nnx
from pydantic import Field, PositiveFloat, PositiveInt

from odenet.arrays import After, Array, Before, Float, Time
from odenet.errors import ConfigError
from odenet.fields.activations import ActivationName, activation
from odenet.fields.base import TimeWeight, VectorField, require_rank
from odenet.fields.branch import BranchConfig
from odenet.fields.initialisers import InitialiserName
from odenet.fields.layers import GroupNorm, convolution
from odenet.ops.conv import conv_general_dilated

_LAYOUT = ("NHWC", "HWIO", "NHWC")

Maps = list[Float[Array, "1 height width _"]]


class ConvField(VectorField):
    """`[norm, activation, convolution]` repeated, on images of constant size.

    The order is full pre-activation (He et al. 2016, arXiv:1603.05027, fig. 4e), with group norm
    instead of batch norm. With kernels of sides 1, 3, 1 and few channels between them, the field is
    the bottleneck of the same paper; with a last norm, it is the field of torchdiffeq's MNIST
    example. Zero padding preserves height and width.

    Args:
        widths: Number of channels before, between and after the convolutions.
        kernel_sizes: Side of the square kernels of each convolution, odd.
        num_groups: Groups of the group norms; 0 for no normalisation.
        epsilon: Added to the variances.
        has_last_norm: Whether a norm follows the last convolution.
        activation_name: Name of the activation.
        takes_time: Whether every convolution has weights for the time.
        init: Name of the initialiser of the kernels.
        rngs: Random keys.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        kernel_sizes: tuple[int, ...],
        num_groups: int,
        epsilon: float,
        has_last_norm: bool,
        activation_name: ActivationName,
        takes_time: bool,
        init: InitialiserName = "lecun_normal",
        *,
        rngs: nnx.Rngs,
    ):
        layers = [(*p, k) for p, k in zip(itertools.pairwise(widths), kernel_sizes, strict=True)]
        normed = widths if has_last_norm else widths[:-1]
        self.activation_name: ActivationName = activation_name
        self.norms = nnx.List(
            [GroupNorm(i, num_groups, epsilon, rngs=rngs) for i in normed] if num_groups else []
        )
        self.convolutions = nnx.List(
            [convolution(i, o, k, init=init, rngs=rngs) for i, o, k in layers]
        )
        self.time = nnx.List(
            [TimeWeight((k, k, 1, o), k**2 * (i + 1), init, rngs=rngs) for i, o, k in layers]
            if takes_time
            else []
        )

    def last_weights(self) -> list[nnx.Param]:
        """The weights of the last map; the field is proportional to them at zero biases."""
        if len(self.norms) > len(self.convolutions):  # the norm cancels any scale before it
            return [self.norms[-1].scale]
        return [layer.kernel for layer in (self.convolutions[-1], *self.time[-1:])]

    def prepare(self, h: Before) -> Maps:
        """Each convolution of a channel of ones: `t` times this is the time channel's output."""
        ones = jnp.ones((1, *h.shape[1:3], 1), h.dtype)
        return [_convolve(ones, time.kernel[...]) for time in self.time]

    def evaluate(self, of_ones: Maps, t: Time, h: Before) -> After:
        """dh/dt at `(t, h)`, from the output of `prepare` for the same weights."""
        sigma = activation(self.activation_name)
        x = h
        for index, convolve in enumerate(self.convolutions):
            if self.norms:
                x = self.norms[index](x)
            if self.time:  # one shift for time and bias, so their gradients share one reduction
                assert convolve.bias is not None
                of_time = (t * of_ones[index]).astype(of_ones[index].dtype)
                shift = _as_map(convolve.bias[...]) + of_time
                x = _convolve(sigma(x), convolve.kernel[...]) + shift
            else:
                x = convolve(sigma(x))
        return self.norms[-1](x) if len(self.norms) > len(self.convolutions) else x

    def __call__(self, t: Time, h: Before) -> After:
        """dh/dt at `(t, h)`, shape `(batch, height, width, channels)`."""
        return self.evaluate(self.prepare(h), t, h)


def _convolve(x: Array, kernel: Array) -> Array:
    return conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=_LAYOUT)


def _as_map(bias: Array) -> Array:
    return bias.reshape(1, 1, 1, -1)


class ConvFieldConfig(BranchConfig):
    """A convolutional field on images."""

    is_map: ClassVar[bool] = True

    kind: Literal["conv"] = "conv"
    activation: ActivationName = "relu"
    num_convolutions: PositiveInt = 2
    hidden: PositiveInt | tuple[PositiveInt, ...] | None = None
    """Channels between two convolutions, one number or one for each; default: the channels of the
    state."""
    kernel_size: PositiveInt | Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = 3
    """Side of the square kernels, odd, one number or one for each convolution."""
    norm: Literal["group", "none"] = "group"
    num_groups: PositiveInt | None = Field(default=None)
    """Groups of the group norm, a divisor of the channels; default: the largest divisor of the
    channels that is at most 32."""
    norm_epsilon: PositiveFloat | None = None
    """Added to the variances; default: 1e-6."""
    last_norm: bool = False
    """Whether a norm follows the last convolution, as in torchdiffeq's MNIST example."""

    @property
    def _kernel_sizes(self) -> tuple[int, ...]:
        sizes = self.kernel_size
        return sizes if isinstance(sizes, tuple) else (sizes,) * self.num_convolutions

    def _widths(self, inputs: int, outputs: int) -> tuple[int, ...]:
        hidden = outputs if self.hidden is None else self.hidden
        if not isinstance(hidden, tuple):
            hidden = (hidden,) * (self.num_convolutions - 1)
        return (inputs, *hidden, outputs)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse options that do not fit a state of `shape` (one example's)."""
        self._check_map(shape, shape[-1])

    def _check_map(self, shape: tuple[int, ...], outputs: int) -> None:
        require_rank("conv", shape, 3, "use field kind=mlp, or a stem of kind=conv")
        if any(size % 2 == 0 for size in self._kernel_sizes):
            raise ConfigError(
                f"kernel_size must be odd, so that images keep their size; got {self.kernel_size}"
            )
        ignored = {
            "num_groups": self.num_groups is not None,
            "norm_epsilon": self.norm_epsilon is not None,
            "last_norm": self.last_norm,
        }
        for name in [name for name, is_set in ignored.items() if is_set and self.norm == "none"]:
            raise ConfigError(f"norm=none would ignore {name}; remove one of the two")
        if self.hidden is not None and self.num_convolutions == 1:
            raise ConfigError("num_convolutions=1 would ignore hidden; remove one of the two")
        self._check_lengths()
        widths = self._widths(shape[-1], outputs)
        for channels in dict.fromkeys(widths):
            if self.num_groups is not None and channels % self.num_groups:
                raise ConfigError(
                    f"num_groups must divide the channels {channels}; got {self.num_groups}"
                )
        if self.norm == "group" and shape[:-1] == (1, 1):
            self._refuse_groups_of_one(widths)

    def _refuse_groups_of_one(self, widths: tuple[int, ...]) -> None:
        """Refuse groups of one channel on images of one pixel: such a group is a single value."""
        groups = self._groups(widths)
        normed = widths if self.last_norm else widths[:-1]
        if groups not in normed:
            return
        fewer = f"num_groups={groups // 2 or 1}, " if groups > 1 else ""
        raise ConfigError(
            f"group norm needs two values in a group or more; got {groups} groups of {groups} "
            f"channels on images of 1x1 pixels, where its output is its bias for any input; use "
            f"{fewer}norm=none, or field kind=mlp behind a stem of kind=flatten"
        )

    def _groups(self, widths: tuple[int, ...]) -> int:
        """Number of groups: the option, or the largest divisor of all widths up to 32."""
        return self.num_groups or max(
            n for n in range(1, 33) if all(width % n == 0 for width in widths)
        )

    def _check_lengths(self) -> None:
        given = {"kernel_size": (self.kernel_size, 0), "hidden": (self.hidden, 1)}
        for name, (values, fewer) in given.items():
            number = self.num_convolutions - fewer
            if isinstance(values, tuple) and len(values) != number:
                raise ConfigError(
                    f"{name} needs one number, or {number} for num_convolutions="
                    f"{self.num_convolutions}; got {len(values)}: {list(values)}"
                )

    def init_field(self, shape: tuple[int, ...], takes_time: bool, *, rngs: nnx.Rngs) -> ConvField:
        """Make the field of one of `depth` layers for states `(height, width, channels)`."""
        return self._from(self._widths(shape[-1], shape[-1]), takes_time, rngs=rngs)

    def build_map(
        self,
        shape: tuple[int, ...],
        width: int,
        takes_time: bool,
        *,
        depth: int | None = None,
        rngs: nnx.Rngs,
    ) -> ConvField:
        """Make a map of the same form from images of `shape` to those of `width` channels."""
        self._check_map(shape, width)
        made = self._from(self._widths(shape[-1], width), takes_time, rngs=rngs)
        self.scaled(made, depth)
        return made

    def _from(self, widths: tuple[int, ...], takes_time: bool, *, rngs: nnx.Rngs) -> ConvField:
        return ConvField(
            widths,
            self._kernel_sizes,
            self._groups(widths) if self.norm == "group" else 0,
            self.norm_epsilon or 1e-6,
            self.last_norm,
            self.activation,
            takes_time,
            self.init,
            rngs=rngs,
        )
