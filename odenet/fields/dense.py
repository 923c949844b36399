"""Layers that add features of their own to those before: a densely connected network with `tau`."""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import PositiveInt, model_validator

from odenet.arrays import State, Time
from odenet.errors import ConfigError
from odenet.fields.activations import ActivationName, activation, require_small_start
from odenet.fields.base import VectorField, require_rank
from odenet.fields.branch import BranchConfig
from odenet.fields.initialisers import InitialiserName, kernel_initialiser


class Place(nnx.Variable):
    """Where in the state a layer writes; it is stored with the network and is not trained."""


class DenseField(VectorField):
    r"""$f_\ell(t, h) = E_\ell\,\sigma(W_\ell h + b_\ell)$, with $E_\ell$ into channels of its own.

    A step of explicit Euler is then $y_\ell = [y_{\ell-1};\; \tau_\ell \sigma(W_\ell y_{\ell-1} +
    b_\ell)]$, in a state that holds room for the features of all layers, 0 until they are written:
    the densely connected network of Huang et al. 2017 (arXiv:1608.06993), its features scaled by
    step sizes.

    The form that Antil, Díaz and Herberg 2022 (arXiv:2204.08528) give to their DenseNet with
    learned time was not at hand when this was written; this is the one that follows from
    concatenation, and it may differ from theirs.

    Weights from channels that are written by the same or a later layer multiply zeros: they are
    stored and counted, and have no gradient.

    Args:
        width: Width of the state.
        growth: Number of features that the layer adds.
        activation_name: Name of the activation.
        init: Name of the initialiser of the weights.
        rngs: Random keys.
    """

    def __init__(
        self,
        width: int,
        growth: int,
        activation_name: ActivationName,
        init: InitialiserName,
        *,
        rngs: nnx.Rngs,
    ):
        self.growth = growth
        self.activation_name: ActivationName = activation_name
        self.affine = nnx.Linear(width, growth, kernel_init=kernel_initialiser(init), rngs=rngs)
        self.place = Place(jnp.zeros((), jnp.int32))

    def number_layers(self, num_layers: int) -> None:
        """Give every layer of a stack its channels: the last of the state to the last layer."""
        width = self.affine.kernel.shape[-2]
        self.place[...] = width - self.growth * (
            num_layers - jnp.arange(num_layers, dtype=jnp.int32)
        )

    def last_weights(self) -> list[nnx.Param]:
        """The weights of the layer."""
        return [self.affine.kernel]

    def __call__(self, t: Time, h: State) -> State:
        """dh/dt at `(t, h)`, shape `(batch, width)`, 0 but for the layer's own channels."""
        del t
        features = activation(self.activation_name)(self.affine(h))
        return jax.lax.dynamic_update_slice_in_dim(
            jnp.zeros_like(h), features, self.place[...], axis=1
        )


class DenseFieldConfig(BranchConfig):
    """Layers that add features of their own: a densely connected network with step sizes.

    The stage has `projection: {kind: zero_pad}` and room for all of them, its width being that
    before plus `num_steps` times `growth`.
    """

    layers_are_alike: ClassVar[bool] = False

    kind: Literal["dense"] = "dense"
    growth: PositiveInt = 4
    """Number of features that every layer adds."""
    activation: ActivationName = "tanh"

    @model_validator(mode="after")
    def _features_can_grow(self):
        fix = "activation=tanh"
        require_small_start("kind=dense", self.activation, self.last_init, fix)
        return self

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a state of `shape` (one example's) that is not a vector."""
        require_rank("dense", shape, 1, "use field kind=conv, or a stem of kind=linear or flatten")

    def check_as_layer(self) -> None:
        """Refuse it as a layer of a block that keeps no features of those before."""
        super().check_as_layer()
        raise ValueError(
            "field.kind=dense adds features to those before, and a feed-forward block keeps "
            "none; use block.kind=depth"
        )

    def check_capacity(self, num_layers: int, width: int, before: int | None) -> None:
        """Refuse a state without channels for the features of all layers.

        Args:
            num_layers: Number of layers.
            width: Width of the state.
            before: Width of what comes before the zeros, or None where there are none.

        Raises:
            ConfigError: saying which width fits.
        """
        if before is None:
            raise ConfigError(
                "field.kind=dense writes features into channels that are 0 before; set the stage's "
                "projection.kind=zero_pad (in the first stage with the model's stem_width)"
            )
        needed = before + num_layers * self.growth
        if width < needed:
            raise ConfigError(
                f"field.kind=dense adds growth={self.growth} features in each of {num_layers} "
                f"layers to the {before} before, so the stage's width is {needed}; got {width}"
            )

    def init_field(self, shape: tuple[int, ...], takes_time: bool, *, rngs: nnx.Rngs) -> DenseField:
        """Make the field of one layer for states of `shape` `(width,)`."""
        assert not takes_time
        return DenseField(shape[0], self.growth, self.activation, self.init, rngs=rngs)
