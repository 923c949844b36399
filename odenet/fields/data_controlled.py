"""Data-controlled fields: they see the state at the start of their block at every depth."""

from typing import ClassVar, Literal

import jax.numpy as jnp
from flax import nnx
from pydantic import model_validator

from odenet.arrays import After, Before
from odenet.fields.base import VectorFieldConfig
from odenet.fields.mlp import MLPFieldConfig
from odenet.fields.wrapped import WrappedField, WrappedFieldConfig


class DataControlledField(WrappedField):
    r"""$f(t, h) = g(t, [h; h(0)])$: every example has a field of its own.

    Massaroli et al. 2020, arXiv:2002.08071, sec. 5. Two examples may then pass each other, which a
    field of state and time alone does not allow. The control stands outside the state, so that it
    is constant for any integrator, and no error norm counts it.

    Args:
        inner: `g`, from states of twice the width.
    """

    takes_start: ClassVar[bool] = True

    def inner_input(self, h: Before, start: Before) -> After:
        """State and control side by side."""
        return jnp.concatenate([h, start], axis=-1)

    def output_of(self, derivative: After, h: Before, start: Before) -> Before:
        """What the inner map gave."""
        del h, start
        return derivative


class DataControlledFieldConfig(WrappedFieldConfig):
    """f(t, h, h(0)): the field sees the first state of its block at every depth."""

    kind: Literal["data_controlled"] = "data_controlled"
    inner: VectorFieldConfig = MLPFieldConfig()
    """The map from state and control, side by side, to dh/dt."""

    @property
    def takes_start(self) -> bool:
        """Whether the field depends on the state at the start of its block too: yes."""
        return DataControlledField.takes_start

    @model_validator(mode="after")
    def _inner_is_a_map(self):
        if not self.inner.is_map:
            raise ValueError(
                f"inner.kind={self.inner.kind} keeps the shape of what it acts on, and the inner "
                f"map goes from state and control to dh/dt; use inner.kind=mlp or conv"
            )
        return self

    def build(
        self,
        shape: tuple[int, ...],
        takes_time: bool,
        *,
        depth: int | None = None,
        rngs: nnx.Rngs,
    ) -> DataControlledField:
        """Make the field of one of `depth` layers for states of `shape` (one example's)."""
        width = shape[-1]
        both = (*shape[:-1], 2 * width)
        inner = self.inner.build_map(both, width, takes_time, depth=depth, rngs=rngs)
        return DataControlledField(inner)
