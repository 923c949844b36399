"""Common base of the configs of fields with weights: the initialisation of a layer's branch."""

import abc
from collections.abc import Mapping
from typing import ClassVar

from flax import nnx

from odenet.errors import ConfigError
from odenet.fields.base import ShapeChange, Transition, VectorField, VectorFieldConfig
from odenet.fields.initialisers import InitialiserName, LastInit, scale_last


class BranchConfig(VectorFieldConfig):
    """Common base of the configs of fields with weights: the initialisation of a layer's branch."""

    renamed_values: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "last_init": {"as_drawn": "unscaled"}
    }

    init: InitialiserName = "lecun_normal"
    """Initialiser of the weights, by name; residual networks use `he_fan_out`."""
    last_init: LastInit = "unscaled"
    """Initial factor of the branch's last map, or of the scale of a norm after it. With `zero`,
    every layer is the identity at initialisation; `1/sqrt(L)` and `1/L` multiply the weights, with
    L the block's num_steps."""

    @abc.abstractmethod
    def init_field(
        self, shape: tuple[int, ...], takes_time: bool, *, rngs: nnx.Rngs
    ) -> VectorField:
        """Make the field with unscaled weights; it defines `last_weights()`."""

    def check_as_layer(self) -> None:
        """Refuse a `last_init` that scales the weights: a feed-forward layer would lose its signal.

        Raises:
            ValueError: unless `last_init` is `unscaled`.
        """
        if self.last_init != "unscaled":
            raise ValueError(
                f"field.last_init={self.last_init} scales the branch of a residual layer, and a "
                f"feed-forward layer has no shortcut: its signal would vanish; use last_init="
                f"unscaled"
            )

    def of_one_layer(self) -> VectorFieldConfig:
        """The same field, with unscaled weights if `last_init` depends on L."""
        scaled = self.last_init in ("1/L", "1/sqrt(L)")
        return self.model_copy(update={"last_init": "unscaled"}) if scaled else self

    def init_transition(self, change: ShapeChange, *, rngs: nnx.Rngs) -> Transition:
        """Make the parts of a layer that changes the shape of the state, with unscaled weights.

        Raises:
            ConfigError: if the field does not support the change of shape.
        """
        return super().build_transition(change, rngs=rngs)

    def build_transition(self, change: ShapeChange, *, rngs: nnx.Rngs) -> Transition:
        """Make the parts of a layer that changes the shape of the state; see `init_transition`.

        Raises:
            ConfigError: if shapes do not fit the field, or `last_init` needs a number of layers.
        """
        self.check((*change.shape[:-1], change.width))
        if change.stride != 1 and len(change.shape) == 1:
            raise ConfigError(
                f"a vector has no rows to skip, so stride={change.stride} would be ignored"
            )
        transition = self.init_transition(change, rngs=rngs)
        self.scaled(transition.branch, None)
        return transition

    def build(
        self,
        shape: tuple[int, ...],
        takes_time: bool,
        *,
        depth: int | None = None,
        rngs: nnx.Rngs,
    ) -> VectorField:
        """Make the field of one of `depth` layers for states of `shape` (one example's).

        Raises:
            ConfigError: if the shape does not fit the field, or `depth` does not fit `last_init`.
        """
        self.check(shape)
        return self.scaled(self.init_field(shape, takes_time, rngs=rngs), depth)

    def scaled(self, field: VectorField, depth: int | None) -> VectorField:
        """The field with its last weights multiplied by the factor of `last_init`, in place.

        Raises:
            ConfigError: if `last_init` would be ignored.
        """
        weights = field.last_weights()
        if self.last_init != "unscaled" and not weights:
            raise ConfigError(
                f"last_init={self.last_init} would be ignored: {type(field).__name__} names no "
                f"last weights; define its last_weights(), or use last_init=unscaled"
            )
        scale_last(self.last_init, depth, *weights)
        return field
