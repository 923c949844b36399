"""Fields made of another field, and which fields they can be made of."""

import abc
from typing import Any, ClassVar

from pydantic import model_validator

from odenet.arrays import After, Before, State, Time
from odenet.fields.base import VectorField, VectorFieldConfig


class WrappedField(VectorField):
    """A field that evaluates an inner one once, and makes dh/dt of what that gives.

    Args:
        inner: The inner field, or map.
    """

    def __init__(self, inner: VectorField):
        self.inner = inner

    @abc.abstractmethod
    def inner_input(self, h: Before, *start: Before) -> After:
        """What the inner field is evaluated at."""

    @abc.abstractmethod
    def output_of(self, derivative: After, h: Before, *start: Before) -> Before:
        """dh/dt, from what the inner field gave."""

    @property
    def prepares(self) -> bool:
        """Whether the inner field does."""
        return self.inner.prepares

    def prepare(self, h: State) -> Any:
        """What the inner field prepares for states of the shape of `h`."""
        return self.inner.prepare(self.inner_input(h, *(h,) * self.takes_start))

    def evaluate(self, prepared: Any, t: Time, h: State, *start: State) -> State:
        """dh/dt at `(t, h)` with what `prepare` gave for the same weights."""
        derivative = self.inner.evaluate(prepared, t, self.inner_input(h, *start))
        return self.output_of(derivative, h, *start)

    def __call__(self, t: Time, h: State, *start: State) -> State:
        """dh/dt at `(t, h)`, of the shape of `h`; `start` as the contract of fields says."""
        return self.evaluate(self.prepare(h), t, h, *start)


class WrappedFieldConfig(VectorFieldConfig):
    """What the configs of these fields share: `inner`, of which each says what it may be."""

    is_wrapped: ClassVar[bool] = True

    @property
    def _inner(self) -> VectorFieldConfig:
        return getattr(self, "inner")  # noqa: B009 - its type is the child's

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a state of `shape` (one example's) that the inner field cannot act on."""
        self._inner.check(shape)

    @model_validator(mode="after")
    def _inner_is_evaluated_once(self):
        inner, reason = self._inner, None
        if inner.takes_start:
            reason = "depends on the state at the start of the block"
        elif inner.has_batch_norm:
            reason = "has batch statistics"
        elif inner.is_wrapped:
            reason = "is made of another field itself"
        elif not inner.layers_are_alike:
            reason = "adds features of its own in every layer"
        if reason is not None:
            raise ValueError(
                f"inner.kind={inner.kind} {reason}, which the field around it does not pass on; "
                f"use inner.kind=mlp or conv"
            )
        return self

    def of_one_layer(self) -> VectorFieldConfig:
        """The same with an inner field whose first weights do not need more layers than one."""
        return self.model_copy(update={"inner": self._inner.of_one_layer()})
