"""Common parts of fields that are stable by construction: a map `K` and its transpose."""

import jax.numpy as jnp
from flax import nnx
from pydantic import PositiveInt

from odenet.arrays import Array, Float, Time
from odenet.errors import ConfigError
from odenet.fields.activations import ActivationName
from odenet.fields.base import TimeWeight
from odenet.fields.branch import BranchConfig
from odenet.fields.initialisers import InitialiserName

NON_MONOTONE: frozenset[ActivationName] = frozenset({"gelu", "silu", "sin"})


class TimeBias(nnx.Module):
    """A bias `b + t v` of the last axis, the same at every pixel of an image.

    Only the bias depends on time: the linear map of a field, and its transpose, are constant in
    time.

    Args:
        width: Width of the vectors, or number of channels.
        fan_in: Number of inputs of one output of the map before the bias.
        takes_time: Whether there is a `v`.
        init: Name of the initialiser of `v`.
        rngs: Random keys.
    """

    def __init__(
        self, width: int, fan_in: int, takes_time: bool, init: InitialiserName, *, rngs: nnx.Rngs
    ):
        self.bias = nnx.Param(jnp.zeros(width, jnp.float32))
        self.time = TimeWeight((width,), fan_in + 1, init, rngs=rngs) if takes_time else None

    def __call__(self, t: Time, rank: int) -> Float[Array, "..."]:
        """The bias at time `t`, with `rank` axes."""
        bias = self.bias[...]
        if self.time is not None:
            bias = bias + t * self.time.kernel[...]
        return bias.reshape((1,) * (rank - 1) + bias.shape)


class StableFieldConfig(BranchConfig):
    """Base of the configs of these fields, which act on vectors and on images."""

    activation: ActivationName = "tanh"
    kernel_size: PositiveInt | None = None
    """Side of the square kernels, odd, for images; default: 3."""

    def side(self, shape: tuple[int, ...]) -> int | None:
        """Side of the kernels for states of `shape` (one example's); None for vectors."""
        return None if len(shape) == 1 else self.kernel_size or 3

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a state of `shape` (one example's), or options that do not fit it."""
        if len(shape) not in (1, 3):
            raise ConfigError(
                f"field kind={self.kind} acts on vectors (width,) and images (height, "
                f"width, channels); its block's state has shape {shape}; use a stem of "
                f"kind=flatten or conv"
            )
        if len(shape) == 1 and self.kernel_size is not None:
            raise ConfigError(
                f"field kind={self.kind} on vectors, here of shape {shape}, would ignore "
                f"kernel_size={self.kernel_size}; remove it"
            )
        if self.kernel_size is not None and self.kernel_size % 2 == 0:
            raise ConfigError(
                f"kernel_size must be odd, so that images keep their size; got {self.kernel_size}"
            )


def refuse_non_monotone(kind: str, activation: ActivationName) -> None:
    """Refuse an activation that decreases somewhere, for a field that is stable only without.

    Raises:
        ValueError: naming the non-decreasing activations.
    """
    if activation in NON_MONOTONE:
        raise ValueError(
            f"field kind={kind} is stable only with a non-decreasing activation, and "
            f"{activation} is not; use tanh, sigmoid, relu, elu, softplus or identity, or field "
            f"kind=mlp"
        )


def refuse_small_product(kind: str, last_init: str) -> None:
    """Refuse to scale the last map of a field if it is the transpose of the first.

    Raises:
        ValueError: unless `last_init` is `unscaled`.
    """
    if last_init != "unscaled":
        raise ValueError(
            f"last_init={last_init} does not fit field kind={kind}: its last map is the transpose "
            f"of its first, so a factor would act twice, and zero weights would have no gradient; "
            f"use last_init=unscaled, and shorter steps to start near the identity"
        )
