"""From the last state to the outputs."""

from typing import Literal

import jax.numpy as jnp
from flax import nnx

from odenet.arrays import Array, Float
from odenet.fields.base import ActivationName, activation
from odenet.fields.initialisers import InitialiserName, kernel_initialiser
from odenet.fields.layers import BatchNorm
from odenet.part import PartConfig

HeadInit = InitialiserName | Literal["zero"]


class Head(nnx.Module):
    """Norm if there is one, activation, mean over the image if there is one, affine map.

    Args:
        width: Channels of the state.
        num_outputs: Number of logits or values.
        activation_name: Name of the activation before the mean.
        init: Name of the law of the affine map's weights.
        norm: The batch norm before the activation, or None.
        bias: Whether a vector is added.
        rngs: Random keys.
    """

    def __init__(
        self,
        width: int,
        num_outputs: int,
        activation_name: ActivationName,
        init: HeadInit = "lecun_normal",
        norm: BatchNorm | None = None,
        bias: bool = True,
        *,
        rngs: nnx.Rngs,
    ):
        self.activation_name: ActivationName = activation_name
        self.norm = norm
        self.linear = nnx.Linear(
            width, num_outputs, use_bias=bias, kernel_init=kernel_initialiser(init), rngs=rngs
        )

    def __call__(
        self, h: Float[Array, "batch *state"], *, live: bool = False
    ) -> Float[Array, "batch outputs"]:
        """Outputs of the last state; `live` as in `Network`."""
        if self.norm is not None:
            h = self.norm.observe(h) if live else self.norm(h)
        h = activation(self.activation_name)(h)
        if h.ndim == 4:
            h = jnp.mean(h, axis=(1, 2))
        return self.linear(h)


class HeadConfig(PartConfig):
    """From the last state to the outputs: norm, activation, mean over the image, affine map."""

    norm: Literal["none", "batch"] = "none"
    """`batch` with `activation: relu` is what follows the last unit of a pre-activation network
    (He et al. 2016, arXiv:1603.05027, sec. 4.1)."""
    activation: ActivationName = "identity"
    init: HeadInit = "lecun_normal"
    """Law of the initial weights, by name; with `zero`, as in Fixup, all outputs start at zero."""
    bias: bool = True

    def build(self, width: int, num_outputs: int, *, rngs: nnx.Rngs) -> Head:
        """Make the head for states of `width` channels."""
        norm = BatchNorm(width, 1e-5, 0.1, rngs=rngs) if self.norm == "batch" else None
        return Head(width, num_outputs, self.activation, self.init, norm, self.bias, rngs=rngs)
