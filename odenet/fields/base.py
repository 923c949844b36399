"""The contract of a vector field, and the choices that all fields share."""

import abc
from typing import Any, ClassVar, NamedTuple

from flax import nnx

from odenet.depth.layer import Layer
from odenet.errors import ConfigError
from odenet.fields.initialisers import InitialiserName, init_time_weights
from odenet.fields.layers import Padding
from odenet.part import PartConfig


class VectorField(Layer):
    """`field(t, h) -> dh/dt`: same shape and dtype as `h`. The base of every field.

    A field does not know who integrates it. It is pure: no random draws and no change of state
    while it is integrated.

    `__call__` is all that a field must define. Everything else has a default, here and in `Layer`:

    * `prepare(h)` and `evaluate(prepared, t, h)`: the work in two parts, of which the first
      depends on the weights and on the shape of the state alone, and is done once for all
      evaluations with the same weights;
    * `with_batch_statistics(t, h)`: the derivative in training mode, normalised by batch
      statistics, which are variables of type `nnx.BatchStat`;
    * `takes_start`: whether it depends on the state at the start of its block too, and is called
      as `field(t, h, start)`;
    * `is_separable`: whether the state is partitioned;
    * `last_weights()`: the weights of the last map of its branch;
    * `number_layers(num_layers)`: what belongs to the index of a layer.

    The config of a field declares the same where a block must know it before it is built.
    """

    @property
    def is_separable(self) -> bool:
        """Whether the state is partitioned, `[y; z]` along its last axis, and `f` is too.

        Then the half of `f` that moves `y` depends on `z` and `t` alone, and the other on `y` and
        `t`.
        """
        return False

    def last_weights(self) -> list[nnx.Param]:
        """The weights of its last map, to which it is proportional while biases are 0, if any."""
        return []


def require_rank(kind: str, shape: tuple[int, ...], rank: int, advice: str) -> None:
    """Refuse a state that a field of `kind` cannot act on.

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
    """The weights of a time input that is added without being concatenated to the state.

    Concatenating `t` as a channel and applying a linear map is the same as adding `t` times what
    the map does to a channel of ones: this module holds that part of the kernel.

    Args:
        shape: Shape of the kernel of the time channel.
        fan_in: Inputs of one output of the whole map, time among them.
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
        before: $B$, what acts before the two paths part, or None.
        branch: $F$, from one shape to the other.
        after: $A$, what acts on the sum, or None.
    """

    before: Any
    branch: Any
    after: Any


class ShapeChange(NamedTuple):
    """From one shape of a state to another.

    Attributes:
        shape: Of one example's state before it.
        width: Channels, or width of the vector, after it.
        stride: Every `stride`-th row and column of an image is kept.
        strided_weight: Which of the branch's weights takes the stride, from 0.
        padding: Zeros around an image where that weight is a convolution.
        widened_weight: Which weight of a unit of two gives the new width, from 0.
        shared: Whether what stands before the first weight acts before the two paths part.
    """

    shape: tuple[int, ...]
    width: int
    stride: int = 1
    strided_weight: int = 0
    padding: Padding = "symmetric"
    widened_weight: int = 0
    shared: bool = True


class VectorFieldConfig(PartConfig, abc.ABC, family="field"):
    """The options of a field, and what a block must know of the field before it is built.

    `check` and `build` are all that a field's config must define; everything else has a default.
    Where the field that is built says the same, the two agree.
    """

    kind: str

    layers_are_alike: ClassVar[bool] = True
    """Whether layers may be divided, joined and shared; else each is bound to its index."""
    is_wrapped: ClassVar[bool] = False
    """Whether it is made of another field, so that no other field may be made of it."""
    is_map: ClassVar[bool] = False
    """Whether it can be a map between states of any two widths, by `build_map`."""
    transition_options: ClassVar[frozenset[str]] = frozenset()
    """Options of a layer between two shapes (`projection.kind: unit`) that it alone acts on."""

    @abc.abstractmethod
    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a state of `shape` (one example's) that the field cannot act on.

        Raises:
            ConfigError: saying which shapes fit, or which option does not.
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
            ConfigError: if the shape does not fit the field, or `depth` not its first weights.
        """

    @property
    def takes_start(self) -> bool:
        """Whether the field depends on the state at the start of its block too."""
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
        """Whether something acts on the sum of state and branch; then a layer is no Euler step."""
        return False

    @property
    def sum_option(self) -> str:
        """The option of the field that decides on that, as messages name it."""
        return f"kind={self.kind}"

    def of_one_layer(self) -> "VectorFieldConfig":
        """The same field without first weights that need more layers than one."""
        return self

    def check_as_layer(self) -> None:
        """Refuse a field that is no layer by itself, without a state to be added to.

        Raises:
            ValueError: saying what is one.
        """
        raise ValueError(
            f"field kind={self.kind} says how a state moves in time, and a feed-forward "
            f"layer has no time; use its inner field, kind=mlp or conv say"
        )

    def check_capacity(self, num_layers: int, width: int, before: int | None) -> None:
        """Refuse a state without channels for the features that the layers add.

        Args:
            num_layers: Number of layers.
            width: Width of the state.
            before: Width of what comes before the zeros, or None where there are none.

        Raises:
            ConfigError: saying which width fits.
        """
        del num_layers, width, before

    def check_built(self, field: Any) -> VectorField:
        """The field that was built, if it says of itself what its config says.

        Raises:
            ConfigError: naming what they disagree on.
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
                    f"a block is checked by what the config of its field says, so both must say "
                    f"the same: {type(self).__name__} has {name}={said}, and "
                    f"{type(field).__name__} "
                    f"{own if name == 'has_batch_norm' else f'has {name}={found}'}"
                )
        return field

    def init_after(self, width: int, *, rngs: nnx.Rngs) -> VectorField | None:
        """What acts on the sum, for states of `width` channels, or None."""
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
            ConfigError: if the field is no such map (`is_map`), or shapes do not fit.
        """
        del shape, width, takes_time, depth, rngs
        raise ConfigError(f"field kind={self.kind} keeps the shape of its state")

    def build_transition(self, change: ShapeChange, *, rngs: nnx.Rngs) -> Transition:
        """Make the parts of a layer that changes the shape of the state.

        Raises:
            ConfigError: if the field cannot change the shape that way.
        """
        del change, rngs
        raise ConfigError(
            f"field kind={self.kind} keeps the shape of its state; a layer between two shapes "
            f"needs field kind=mlp (vectors) or residual"
        )
