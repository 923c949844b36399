"""The contract of a layer: the function that one set of weights defines."""

import abc
from typing import Any, ClassVar

from flax import nnx

from odenet.arrays import After, Before, Time
from odenet.errors import ConfigError


class Layer(nnx.Module):
    """A function `layer(t, h)` with weights; `odenet.fields.VectorField` is the main subclass.

    Attributes:
        takes_start: Whether it also depends on the initial state of its block. It is then called
            as `layer(t, h, start)`.
    """

    takes_start: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(self, t: Time, h: Before, *start: Before) -> After:
        """The value at depth-time `t` and state `h`, shape `(batch, *state)`."""

    @property
    def prepares(self) -> bool:
        """Whether a part of the evaluation depends only on the weights: if `prepare` is defined."""
        return type(self).prepare is not Layer.prepare

    def prepare(self, h: Before) -> Any:
        """Arrays that depend only on the weights and on the shape of the state.

        Integrators compute them once for all evaluations with the same weights.

        Args:
            h: A state of the shape and type of later evaluations.
        """
        del h

    def evaluate(self, prepared: Any, t: Time, h: Before, *start: Before) -> After:
        """The value at `(t, h)`, from the output of `prepare` for the same weights."""
        del prepared
        return self(t, h, *start)

    @property
    def has_training_mode(self) -> bool:
        """Whether it differs in training mode: if `with_batch_statistics` is defined."""
        return type(self).with_batch_statistics is not Layer.with_batch_statistics

    def with_batch_statistics(self, t: Time, h: Before) -> After:
        """The value in training mode, by batch statistics; updates the running statistics."""
        return self(t, h)

    @property
    def is_random(self) -> bool:
        """Whether it samples random numbers in training mode."""
        return False

    def number_layers(self, num_layers: int) -> None:
        """Set the variables of a stack of layers that depend on the index of a layer.

        Args:
            num_layers: Number of layers, the leading axis of the arrays of this stack.
        """
        del num_layers


def checked_layer(layer: Any) -> Any:
    """The layer, if it is a `Layer`.

    Raises:
        ConfigError: if it is not.
    """
    if isinstance(layer, Layer):
        return layer
    raise ConfigError(
        f"weights over depth need a vector field, a class derived from "
        f"odenet.fields.VectorField; got {type(layer).__name__}; derive it, or integrate a plain "
        f"function by LayerFields.from_function"
    )
