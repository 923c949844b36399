"""The contract of a vector field and of its config, and helpers that all fields share."""

import abc
from typing import Any, ClassVar, NamedTuple

from flax import nnx

from odenet.depth.layer import Layer
from odenet.errors import ConfigError
from odenet.fields.initialisers import InitialiserName, init_time_weights
from odenet.fields.layers import Padding
from odenet.part import PartConfig


class VectorField(Layer):
    """Base of every vector field: `field(t, h) -> dh/dt`, of the shape and dtype of `h`.

    A field is independent of the integrator. It is pure: it samples no random numbers and changes
    no variables during integration.

    A field must define `__call__` alone. All other members have defaults, here and in `Layer`:

    * `prepare(h)` and `evaluate(prepared, t, h)`: the evaluation in two parts. The first depends
      only on the weights and on the shape of the state, and is computed once for all evaluations
      with the same weights;
    * `with_batch_statistics(t, h)`: the derivative in training mode, normalised by batch
      statistics, which are variables of type `nnx.BatchStat`;
    * `takes_start`: whether the field also depends on the initial state of its block. It is then
      called as `field(t, h, start)`;
    * `is_separable`: whether the state is partitioned;
    * `last_weights()`: the weights of the last map of its branch;
    * `number_layers(num_layers)`: sets variables that depend on the index of the layer.

    The config of a field declares the same properties, because a block is checked before the
    field is built.
    """

    @property
    def is_separable(self) -> bool:
        """Whether the state is partitioned, `[y; z]` along its last axis, and `f` is separable.

        Then `y'` depends only on `z` and `t`, and `z'` only on `y` and `t`.
        """
        return False

    def last_weights(self) -> list[nnx.Param]:
        """The weights of its last map, if any; the field is proportional to them at zero biases."""
        return []


def require_rank(kind: str, shape: tuple[int, ...], rank: int, advice: str) -> None:
    """Refuse a state whose rank does not fit a field of `kind`.

    Raises:
        ConfigError: unless `shape`, the shape of one example's state, has `rank` axes.
    """
    if len(shape) != rank:
        states = {1: "vectors (width,)", 3: "images (height, width, channels)"}
        raise ConfigError(
            f"field kind={kind} acts on {states[rank]}; its block's state has shape {shape}; "
            f"{advice}"
        )


class TimeWeight(nnx.Module):
    """The weights of a time input, added without concatenating `t` to the state.

    A linear map of the state with a channel `t` equals the map of the state plus `t` times the map
    of a channel of ones. This module holds the kernel of that channel.

    Args:
        shape: Shape of the kernel of the time channel.
        fan_in: Number of inputs of one output of the whole map, including time.
        init: Name of the initialiser of the weights.
        rngs: Random keys.
    """

    def __init__(
        self, shape: tuple[int, ...], fan_in: int, init: InitialiserName, *, rngs: nnx.Rngs
    ):
        self.kernel = nnx.Param(init_time_weights(init, rngs.params(), shape, fan_in))


class Transition(NamedTuple):
    r"""The parts of a layer between two shapes, $A(P\,B(h) + \tau F(B(h)))$.

    Attributes:
        before: $B$, the map before shortcut and branch, or None.
        branch: $F$, from one shape to the other.
        after: $A$, the map applied to the sum, or None.
    """

    before: Any
    branch: Any
    after: Any


class ShapeChange(NamedTuple):
    """A change of the shape of the state.

    Attributes:
        shape: Input shape of one example's state.
        width: Output channels, or output width of a vector.
        stride: Stride for images.
        strided_weight: Index of the branch's strided weight, from 0.
        padding: Zero padding of the image, if that weight is a convolution.
        widened_weight: Index of the weight of a two-weight unit that changes the width, from 0.
        shared: Whether the norm and activation before the first weight act on both paths.
    """

    shape: tuple[int, ...]
    width: int
    stride: int = 1
    strided_weight: int = 0
    padding: Padding = "symmetric"
    widened_weight: int = 0
    shared: bool = True


class VectorFieldConfig(PartConfig, abc.ABC, family="field"):
    """Options of a field, and the properties that a block needs before the field is built.

    A field's config must define `check` and `build` alone; all other members have defaults.
    Properties that the built field declares too must agree with those of the config.
    """

    kind: str

    layers_are_alike: ClassVar[bool] = True
    """Whether layers may be split, merged and shared; else each is bound to its index."""
    is_wrapped: ClassVar[bool] = False
    """Whether it wraps an inner field; such a field cannot be wrapped itself."""
    is_map: ClassVar[bool] = False
    """Whether it can be a map between states of any two widths, by `build_map`."""
    transition_options: ClassVar[frozenset[str]] = frozenset()
    """Options of a layer between two shapes (`projection.kind: unit`) specific to this field."""

    @abc.abstractmethod
    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a state of `shape` (one example's) that does not fit the field.

        Raises:
            ConfigError: naming the shapes that fit, or the option that does not.
        """

    @abc.abstractmethod
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
            ConfigError: if the shape does not fit the field, or `depth` does not fit its
                initialisation.
        """

    @property
    def takes_start(self) -> bool:
        """Whether the field also depends on the initial state of its block."""
        return False

    @property
    def is_separable(self) -> bool:
        """Whether the state is partitioned."""
        return False

    @property
    def has_batch_norm(self) -> bool:
        """Whether the field has batch statistics."""
        return False

    @property
    def acts_on_sum(self) -> bool:
        """Whether a map is applied to the sum of state and branch: the layer is no Euler step."""
        return False

    @property
    def sum_option(self) -> str:
        """The option of the field that decides `acts_on_sum`, for messages."""
        return f"kind={self.kind}"

    def of_one_layer(self) -> "VectorFieldConfig":
        """The same field without an initialisation that needs more than one layer."""
        return self

    def check_as_layer(self) -> None:
        """Refuse a field that cannot be a feed-forward layer.

        Raises:
            ValueError: naming fields that can.
        """
        raise ValueError(
            f"field kind={self.kind} defines dynamics in time, and a feed-forward layer has no "
            f"time; use its inner field, for example kind=mlp or conv"
        )

    def check_capacity(self, num_layers: int, width: int, before: int | None) -> None:
        """Refuse a state without channels for the features that the layers add.

        Args:
            num_layers: Number of layers.
            width: Width of the state.
            before: Width of the state before zero padding, or None without zero padding.

        Raises:
            ConfigError: naming the width that fits.
        """
        del num_layers, width, before

    def check_built(self, field: Any) -> VectorField:
        """The built field, if its properties agree with those of its config.

        Raises:
            ConfigError: naming the property that differs.
        """
        if not isinstance(field, VectorField):
            raise ConfigError(
                f"{type(self).__name__}.build must give a field, of a class derived from "
                f"odenet.fields.VectorField; got {type(field).__name__}"
            )
        pairs = {
            "takes_start": (self.takes_start, field.takes_start),
            "is_separable": (self.is_separable, field.is_separable),
            "has_batch_norm": (self.has_batch_norm, field.has_training_mode),
        }
        for name, (said, found) in pairs.items():
            if said != found:
                own = f"defines {'a' if found else 'no'} `with_batch_statistics`"
                raise ConfigError(
                    f"a block is checked by the properties of its field's config, so field and "
                    f"config must agree: {type(self).__name__} has {name}={said}, and "
                    f"{type(field).__name__} "
                    f"{own if name == 'has_batch_norm' else f'has {name}={found}'}"
                )
        return field

    def init_after(self, width: int, *, rngs: nnx.Rngs) -> VectorField | None:
        """The map applied to the sum, for states of `width` channels, or None."""
        del width, rngs

    def build_map(
        self,
        shape: tuple[int, ...],
        width: int,
        takes_time: bool,
        *,
        depth: int | None = None,
        rngs: nnx.Rngs,
    ) -> VectorField:
        """Make a map of the same form from states of `shape` to states of `width` channels.

        Raises:
            ConfigError: if the field cannot be such a map (`is_map`), or shapes do not fit.
        """
        del shape, width, takes_time, depth, rngs
        raise ConfigError(f"field kind={self.kind} keeps the shape of its state")

    def build_transition(self, change: ShapeChange, *, rngs: nnx.Rngs) -> Transition:
        """Make the parts of a layer that changes the shape of the state.

        Raises:
            ConfigError: if the field does not support the change of shape.
        """
        del change, rngs
        raise ConfigError(
            f"field kind={self.kind} keeps the shape of its state; a layer between two shapes "
            f"needs field kind=mlp (vectors) or residual"
        )
