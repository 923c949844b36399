"""The contract of what one set of weights computes, of which a family of weights holds many."""

import abc
from typing import Any, ClassVar

from flax import nnx

from odenet.arrays import After, Before, Time
from odenet.errors import ConfigError


class Layer(nnx.Module):
    """`layer(t, h)` with weights of its own; see `odenet.fields.VectorField`, which is one.

    Attributes:
        takes_start: Whether it depends on the state at the start of its block too. Then it is
            called as `layer(t, h, start)`.
    """

    takes_start: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(self, t: Time, h: Before, *start: Before) -> After:
        """The value at depth-time `t` and state `h`, shape `(batch, *state)`."""

    @property
    def prepares(self) -> bool:
        """Whether a part of the work depends on the weights alone: if `prepare` is defined."""
        return type(self).prepare is not Layer.prepare

    def prepare(self, h: Before) -> Any:
        """Arrays that depend on the weights and on the shape of the state alone.

        Integrators compute them once for all evaluations with the same weights.

        Args:
            h: A state of the shape and type that the layer will be evaluated at.
        """
        del h

    def evaluate(self, prepared: Any, t: Time, h: Before, *start: Before) -> After:
        """The value at `(t, h)` with what `prepare` gave for the same weights."""
        del prepared
        return self(t, h, *start)

    @property
    def has_training_mode(self) -> bool:
        """Whether it differs in training mode: if `with_batch_statistics` is defined."""
        return type(self).with_batch_statistics is not Layer.with_batch_statistics

    def with_batch_statistics(self, t: Time, h: Before) -> After:
        """The value in training: by the statistics of the batch, towards which its own move."""
        return self(t, h)

    @property
    def is_random(self) -> bool:
        """Whether it draws random numbers in training."""
        return False

    def number_layers(self, num_layers: int) -> None:
        """Give every layer of a stack what belongs to its index alone.

        Args:
            num_layers: Number of layers; the arrays of this one have it as their leading axis.
        """
        del num_layers


def checked_layer(layer: Any) -> Any:
    """A layer that keeps the contract.

    Raises:
        ConfigError: if it is none.
    """
    if isinstance(layer, Layer):
        return layer
    raise ConfigError(
        f"the weights over depth hold a vector field, a class derived from "
        f"odenet.fields.VectorField; got {type(layer).__name__}; derive it, or integrate a plain "
        f"function by LayerFields.from_function"
    )
