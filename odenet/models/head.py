"""The head: from the last state to the outputs."""

from typing import Literal

import jax.numpy as jnp
from flax import nnx
from pydantic import model_validator

from odenet.arrays import Array, Float
from odenet.errors import ConfigError
from odenet.fields.activations import ActivationName, activation
from odenet.fields.initialisers import InitialiserName, kernel_initialiser
from odenet.fields.layers import BatchNorm
from odenet.models.batch_norm import NormedConfig

HeadInit = InitialiserName | Literal["zero"]


class Head(nnx.Module):
    """Optional norm, activation, mean over the pixels of an image, optional affine map.

    Without an affine map, the outputs are the first `num_outputs` components of its input.

    Args:
        width: Channels of the state.
        num_outputs: Number of logits or values.
        activation_name: Name of the activation before the mean.
        init: Name of the initialiser of the affine map's weights.
        norm: The batch norm before the activation, or None.
        affine: Whether there is an affine map.
        bias: Whether the affine map has a bias.
        rngs: Random keys.
    """

    def __init__(
        self,
        width: int,
        num_outputs: int,
        activation_name: ActivationName,
        init: HeadInit = "lecun_normal",
        norm: BatchNorm | None = None,
        affine: bool = True,
        bias: bool = True,
        *,
        rngs: nnx.Rngs,
    ):
        self.num_outputs = num_outputs
        self.activation_name: ActivationName = activation_name
        self.norm = norm
        self.linear = (
            nnx.Linear(
                width, num_outputs, use_bias=bias, kernel_init=kernel_initialiser(init), rngs=rngs
            )
            if affine
            else None
        )

    def __call__(
        self, h: Float[Array, "batch *state"], *, training: bool = False
    ) -> Float[Array, "batch outputs"]:
        """Outputs of the last state; `training` as in `Network`."""
        if self.norm is not None:
            h = self.norm.with_batch_statistics(h) if training else self.norm(h)
        h = activation(self.activation_name)(h)
        if h.ndim == 4:
            h = jnp.mean(h, axis=(1, 2))
        return h[:, : self.num_outputs] if self.linear is None else self.linear(h)


class HeadConfig(NormedConfig):
    """The head: norm, activation, mean over the image, affine map."""

    norm: Literal["none", "batch"] = "none"
    """The normalisation; a pre-activation network ends with `batch` and `activation: relu`
    (He et al. 2016, arXiv:1603.05027, sec. 4.1)."""
    activation: ActivationName = "identity"
    init: HeadInit = "lecun_normal"
    """Initialiser of the weights, by name; with `zero`, as in Fixup, all initial outputs are 0."""
    bias: bool = True
    """Whether the affine map has a bias."""
    affine: bool = True
    """Whether there is an affine map; without one, the outputs are the first components of the
    state: the flow itself represents the function (Dupont et al. 2019, arXiv:1904.01681)."""

    @model_validator(mode="after")
    def _nothing_ignored(self):
        if not self.affine and self.init != "lecun_normal":
            raise ValueError(
                f"affine=false would ignore init={self.init}: there are no weights; remove one"
            )
        if not self.affine and not self.bias:
            raise ValueError("affine=false would ignore bias=false: there is no map; remove one")
        return self

    def build(self, width: int, num_outputs: int, *, rngs: nnx.Rngs) -> Head:
        """Make the head for states of `width` channels."""
        if not self.affine and width < num_outputs:
            raise ConfigError(
                f"model.head: affine=false gives the first {num_outputs} components of a state of "
                f"width {width}; use a last width of at least {num_outputs}, or affine=true"
            )
        norm = self.build_norm(width, rngs=rngs)
        options = (self.activation, self.init, norm, self.affine, self.bias)
        return Head(width, num_outputs, *options, rngs=rngs)
