"""The contract of a vector field, and the choices that all fields share."""

import abc
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx

from odenet.arrays import Array, State, Time
from odenet.errors import ConfigError
from odenet.fields.initialisers import InitialiserName, LastInit, draw_time_weights, scale_last
from odenet.fields.layers import Padding
from odenet.part import PartConfig


@runtime_checkable
class VectorField(Protocol):
    """`field(t, h) -> dh/dt`: same shape and dtype as `h`.

    A field does not know who integrates it. It is pure: no random draws and no change of state
    while it is integrated.

    A field may split its work in two: `prepare(h)` returns arrays that depend on its weights and
    on the shape of the state alone, and `evaluate(prepared, t, h)` the time derivative. Integrators
    then prepare once for all evaluations with the same weights.

    A field may depend on the state at the start of its block too. Then its `takes_start` is true,
    and it is called as `field(t, h, start)`.
    """

    def __call__(self, t: Time, h: State) -> State:
        """The time derivative of `h` at depth-time `t`."""
        ...


ActivationName = Literal[
    "tanh", "relu", "elu", "gelu", "silu", "softplus", "sigmoid", "sin", "identity"
]

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "sigmoid": jax.nn.sigmoid,
    "sin": jnp.sin,
    "identity": lambda x: x,
}


def activation(name: ActivationName) -> Callable[[Array], Array]:
    """The activation function of that name, elementwise."""
    return _ACTIVATIONS[name]


NOT_ZERO_AT_ZERO: frozenset[ActivationName] = frozenset({"sigmoid", "softplus"})
FLAT_AT_ZERO: frozenset[ActivationName] = frozenset({"relu"})


def require_small_start(ends: str, activation: ActivationName, last_init: str, fix: str) -> None:
    """Refuse `last_init` where an activation comes after the last map and works against it.

    Args:
        ends: What ends with the activation, for the message.
        activation: Its name.
        last_init: Where the last map starts.
        fix: What to use instead, for the message.

    Raises:
        ValueError: if the field would not start small, or never leave zero.
    """
    if last_init == "as_drawn":
        return
    if activation in NOT_ZERO_AT_ZERO:
        raise ValueError(
            f"last_init={last_init} would not make the field small: {ends} ends with "
            f"{activation}, which is not zero at zero; use {fix}"
        )
    if last_init == "zero" and activation in FLAT_AT_ZERO:
        raise ValueError(
            f"last_init=zero would never be left: {ends} ends with {activation}, "
            f"whose derivative at zero is zero; use {fix}"
        )


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
        init: Name of the law of the weights.
        rngs: Random keys.
    """

    def __init__(
        self, shape: tuple[int, ...], fan_in: int, init: InitialiserName, *, rngs: nnx.Rngs
    ):
        self.kernel = nnx.Param(draw_time_weights(init, rngs.params(), shape, fan_in))


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
    """What the configs of all fields share."""

    kind: str

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
    ) -> Any:
        """Make the field of one of `depth` layers for states of `shape` (one example's).

        Raises:
            ConfigError: if the shape does not fit the field, or `depth` not its first weights.
        """

    @property
    def takes_start(self) -> bool:
        """Whether the field depends on the state at the start of its block too."""
        return False

    def of_one_layer(self) -> Any:
        """The same field without first weights that need more layers than one."""
        return self

    @property
    def is_separable(self) -> bool:
        """Whether the state is two halves `[y; z]` of its last axis, and `f` is too.

        Then the half of `f` that moves `y` depends on `z` and `t` alone, and the other on `y` and
        `t`. The field that is built says the same.
        """
        return False

    @property
    def layers_are_alike(self) -> bool:
        """Whether layers do the same thing with other weights: then they can be divided, joined,
        and made of fewer functions of depth.
        """
        return True

    @property
    def acts_on_sum(self) -> bool:
        """Whether something acts on the sum of state and branch; then a layer is no Euler step."""
        return False

    def draw_after(self, width: int, *, rngs: nnx.Rngs) -> Any:
        """What acts on the sum, for states of `width` channels, or None."""
        del width, rngs

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


class BranchConfig(VectorFieldConfig):
    """What the configs of fields with weights share: how those of a layer's branch start."""

    init: InitialiserName = "lecun_normal"
    """Law of the initial weights, by name; `he_fan_out` is that of residual networks."""
    last_init: LastInit = "as_drawn"
    """Where the last map of the branch starts, or the scale of a norm that comes after it: `zero`
    makes every layer the identity at first; `1/sqrt(L)` and `1/L` multiply by it, with L the
    block's num_steps."""

    @abc.abstractmethod
    def draw(self, shape: tuple[int, ...], takes_time: bool, *, rngs: nnx.Rngs) -> Any:
        """Make the field, its weights as drawn; it tells its `last_weights()`."""

    def of_one_layer(self) -> Any:
        """The same field; where its first weights are scaled by 1/L, as drawn."""
        scaled = self.last_init in ("1/L", "1/sqrt(L)")
        return self.model_copy(update={"last_init": "as_drawn"}) if scaled else self

    def draw_transition(self, change: ShapeChange, *, rngs: nnx.Rngs) -> Transition:
        """Make the parts of a layer that changes the shape of the state, its weights as drawn.

        Raises:
            ConfigError: if the field cannot change the shape that way.
        """
        return super().build_transition(change, rngs=rngs)

    def build_transition(self, change: ShapeChange, *, rngs: nnx.Rngs) -> Transition:
        """Make the parts of a layer that changes the shape of the state; see `draw_transition`.

        Raises:
            ConfigError: if shapes do not fit the field, or `last_init` needs a number of layers.
        """
        self.check((*change.shape[:-1], change.width))
        if change.stride != 1 and len(change.shape) == 1:
            raise ConfigError(
                f"a vector has no rows to skip, so stride={change.stride} would be ignored"
            )
        transition = self.draw_transition(change, rngs=rngs)
        scale_last(self.last_init, None, *transition.branch.last_weights())
        return transition

    def build(
        self,
        shape: tuple[int, ...],
        takes_time: bool,
        *,
        depth: int | None = None,
        rngs: nnx.Rngs,
    ) -> Any:
        """Make the field of one of `depth` layers for states of `shape` (one example's).

        Raises:
            ConfigError: if the shape does not fit the field, or `depth` not `last_init`.
        """
        self.check(shape)
        field = self.draw(shape, takes_time, rngs=rngs)
        scale_last(self.last_init, depth, *field.last_weights())
        return field
