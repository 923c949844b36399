"""Data-controlled fields: they depend on the initial state of their block at every depth."""

from typing import ClassVar, Literal

import jax.numpy as jnp
from flax import nnx
from pydantic import model_validator

from odenet.arrays import After, Before
from odenet.fields.base import VectorFieldConfig
from odenet.fields.mlp import MLPFieldConfig
from odenet.fields.wrapped import WrappedField, WrappedFieldConfig


class DataControlledField(WrappedField):
    r"""$f(t, h) = g(t, [h; h(0)])$: the field depends on the example.

    Massaroli et al. 2020, arXiv:2002.08071, sec. 5. Trajectories of two examples may then cross,
    which a field of state and time alone does not allow. The control $h(0)$ is not part of the
    state: it is constant for any integrator, and does not enter the error norm.

    Args:
        inner: `g`, from states of twice the width.
    """

    takes_start: ClassVar[bool] = True

    def inner_input(self, h: Before, start: Before) -> After:
        """State and control, concatenated along the last axis."""
        return jnp.concatenate([h, start], axis=-1)

    def output_of(self, derivative: After, h: Before, start: Before) -> Before:
        """The output of the inner map."""
        del h, start
        return derivative


class DataControlledFieldConfig(WrappedFieldConfig):
    """f(t, h, h(0)): the field depends on the initial state of its block at every depth."""

    kind: Literal["data_controlled"] = "data_controlled"
    inner: VectorFieldConfig = MLPFieldConfig()
    """The map from the concatenated state and control to dh/dt."""

    @property
    def takes_start(self) -> bool:
        """Whether the field also depends on the initial state of its block: yes."""
        return DataControlledField.takes_start

    @model_validator(mode="after")
    def _inner_is_a_map(self):
        if not self.inner.is_map:
            raise ValueError(
                f"inner.kind={self.inner.kind} keeps the shape of its input, and the inner "
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
