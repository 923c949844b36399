"""Layers that append features: a densely connected network with step sizes `tau`."""

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
    """Offset of a layer's channels in the state; stored with the network, not trained."""


class DenseField(VectorField):
    r"""$f_\ell(t, h) = E_\ell\,\sigma(W_\ell h + b_\ell)$; $E_\ell$ embeds in the layer's channels.

    A step of explicit Euler is then $y_\ell = [y_{\ell-1};\; \tau_\ell \sigma(W_\ell y_{\ell-1} +
    b_\ell)]$, in a state with channels for the features of all layers, 0 until they are written:
    the densely connected network of Huang et al. 2017 (arXiv:1608.06993), with features scaled by
    step sizes.

    The DenseNet with learned time of Antil, Díaz and Herberg 2022 (arXiv:2204.08528) was not
    available for comparison. This form follows from concatenation and may differ from theirs.

    Weights of channels that the same or a later layer writes multiply zeros: they are stored and
    counted, and have no gradient.

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
        """Assign channels to every layer of a stack; the last layer gets the last channels."""
        width = self.affine.kernel.shape[-2]
        self.place[...] = width - self.growth * (
            num_layers - jnp.arange(num_layers, dtype=jnp.int32)
        )

    def last_weights(self) -> list[nnx.Param]:
        """The weights of the layer."""
        return [self.affine.kernel]

    def __call__(self, t: Time, h: State) -> State:
        """dh/dt at `(t, h)`, shape `(batch, width)`, 0 outside the layer's own channels."""
        del t
        features = activation(self.activation_name)(self.affine(h))
        return jax.lax.dynamic_update_slice_in_dim(
            jnp.zeros_like(h), features, self.place[...], axis=1
        )


class DenseFieldConfig(BranchConfig):
    """Layers that append features: a densely connected network with step sizes.

    The stage has `projection: {kind: zero_pad}`. Its width is the width before it plus
    `num_steps * growth`.
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
        """Refuse it as a feed-forward layer, which does not keep the features before it."""
        super().check_as_layer()
        raise ValueError(
            "field.kind=dense appends features to the previous ones, and a feed-forward block "
            "keeps none; use block.kind=depth"
        )

    def check_capacity(self, num_layers: int, width: int, before: int | None) -> None:
        """Refuse a state without channels for the features of all layers.

        Args:
            num_layers: Number of layers.
            width: Width of the state.
            before: Width of the state before zero padding, or None without zero padding.

        Raises:
            ConfigError: naming the width that fits.
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
