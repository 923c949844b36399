"""Fields that wrap an inner field, and a check of the inner field."""

import abc
from typing import Any, ClassVar

from pydantic import model_validator

from odenet.arrays import After, Before, State, Time
from odenet.fields.base import VectorField, VectorFieldConfig


class WrappedField(VectorField):
    """A field that evaluates an inner field once, and computes dh/dt from its output.

    Args:
        inner: The inner field, or map.
    """

    def __init__(self, inner: VectorField):
        self.inner = inner

    @abc.abstractmethod
    def inner_input(self, h: Before, *start: Before) -> After:
        """The input of the inner field at state `h`."""

    @abc.abstractmethod
    def output_of(self, derivative: After, h: Before, *start: Before) -> Before:
        """dh/dt, from the output of the inner field."""

    @property
    def prepares(self) -> bool:
        """Whether the inner field has a `prepare` of its own."""
        return self.inner.prepares

    def prepare(self, h: State) -> Any:
        """The output of the inner field's `prepare` for states of the shape of `h`."""
        return self.inner.prepare(self.inner_input(h, *(h,) * self.takes_start))

    def evaluate(self, prepared: Any, t: Time, h: State, *start: State) -> State:
        """dh/dt at `(t, h)`, from the output of `prepare` for the same weights."""
        derivative = self.inner.evaluate(prepared, t, self.inner_input(h, *start))
        return self.output_of(derivative, h, *start)

    def __call__(self, t: Time, h: State, *start: State) -> State:
        """dh/dt at `(t, h)`, of the shape of `h`; for `start` see `VectorField`."""
        return self.evaluate(self.prepare(h), t, h, *start)


class WrappedFieldConfig(VectorFieldConfig):
    """Base of the configs of these fields; each declares the option `inner`."""

    is_wrapped: ClassVar[bool] = True

    @property
    def _inner(self) -> VectorFieldConfig:
        return getattr(self, "inner")  # noqa: B009 - its type is the child's

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a state of `shape` (one example's) that does not fit the inner field."""
        self._inner.check(shape)

    @model_validator(mode="after")
    def _inner_is_evaluated_once(self):
        inner, reason = self._inner, None
        if inner.takes_start:
            reason = "depends on the initial state of the block"
        elif inner.has_batch_norm:
            reason = "has batch statistics"
        elif inner.is_wrapped:
            reason = "wraps another field itself"
        elif not inner.layers_are_alike:
            reason = "appends features in every layer"
        if reason is not None:
            raise ValueError(
                f"inner.kind={inner.kind} {reason}, which a wrapping field does not support; "
                f"use inner.kind=mlp or conv"
            )
        return self

    def of_one_layer(self) -> VectorFieldConfig:
        """The same with an inner field whose initialisation does not need more than one layer."""
        return self.model_copy(update={"inner": self._inner.of_one_layer()})
