"""Depth that depends on the example: a field times a learned scale of each example."""

import itertools
import math
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import PositiveInt

from odenet.arrays import After, Array, Before, Float
from odenet.fields.base import VectorField, VectorFieldConfig
from odenet.fields.mlp import MLPFieldConfig
from odenet.fields.wrapped import WrappedField, WrappedFieldConfig

Sign = Literal["positive", "free"]

_INVERSE_SOFTPLUS_OF_1 = math.log(math.e - 1)
"""The inverse softplus of 1."""


class TimeScale(nnx.Module):
    r"""A time scale $s(h)$ of every example, 1 at initialisation.

    Affine maps with tanh between them; the last is initialised to zero. The input of an image is
    the mean over its pixels.

    Args:
        widths: Widths before and between the affine maps; the first is the width of the state.
        sign: Whether $s$ is positive, by softplus, or any real number.
        rngs: Random keys.
    """

    def __init__(self, widths: tuple[int, ...], sign: Sign, *, rngs: nnx.Rngs):
        zeros = nnx.initializers.zeros
        self.sign: Sign = sign
        self.hidden = nnx.List([nnx.Linear(i, o, rngs=rngs) for i, o in itertools.pairwise(widths)])
        self.last = nnx.Linear(widths[-1], 1, kernel_init=zeros, rngs=rngs)

    def __call__(self, h: Before) -> Float[Array, " batch"]:
        """The time scale of every example."""
        x = jnp.mean(h, axis=tuple(range(1, h.ndim - 1)))
        for affine in self.hidden:
            x = jnp.tanh(affine(x))
        raw = self.last(x)[:, 0]
        return jax.nn.softplus(raw + _INVERSE_SOFTPLUS_OF_1) if self.sign == "positive" else 1 + raw


class DepthAdaptiveField(WrappedField):
    r"""$f(t, h) = s(h(0))\, g(t, h)$, with a learned time scale $s$ for every example.

    After Massaroli et al. 2020, arXiv:2002.08071, sec. 5, where every example has its own horizon:
    with an autonomous `g`, the state at depth `T` is the solution of `h' = g(h)` at `s T`. A
    time-dependent `g` gets the time of the grid, the same for all examples. A negative `s`
    integrates backwards.

    Args:
        inner: `g`.
        pace: `s`.
    """

    takes_start: ClassVar[bool] = True

    def __init__(self, inner: VectorField, pace: TimeScale):
        super().__init__(inner)
        self.pace = pace

    @property
    def is_separable(self) -> bool:
        """Whether the state is partitioned: as for the inner field."""
        return self.inner.is_separable

    def inner_input(self, h: Before, start: Before) -> After:
        """The state."""
        del start
        return h

    def output_of(self, derivative: After, h: Before, start: Before) -> Before:
        """The output of the inner field, times the time scale of the example."""
        return self.pace(start).reshape(-1, *[1] * (h.ndim - 1)) * derivative


class DepthAdaptiveFieldConfig(WrappedFieldConfig):
    """s(h(0)) g(t, h): a learned time scale for every example."""

    kind: Literal["depth_adaptive"] = "depth_adaptive"
    inner: VectorFieldConfig = MLPFieldConfig()
    """The field `g`, the same for all examples."""
    sign: Sign = "positive"
    """Whether `s` is positive or any real number; it is 1 at initialisation."""
    hidden: tuple[PositiveInt, ...] = ()
    """Widths of the tanh layers between the initial state and `s`; if empty, `s` is a function of
    an affine map."""

    @property
    def takes_start(self) -> bool:
        """Whether the field also depends on the initial state of its block: yes."""
        return DepthAdaptiveField.takes_start

    @property
    def is_separable(self) -> bool:
        """Whether the state is partitioned: as for the inner field."""
        return self.inner.is_separable

    def build(
        self,
        shape: tuple[int, ...],
        takes_time: bool,
        *,
        depth: int | None = None,
        rngs: nnx.Rngs,
    ) -> DepthAdaptiveField:
        """Make the field of one of `depth` layers for states of `shape` (one example's)."""
        inner = self.inner.build(shape, takes_time, depth=depth, rngs=rngs)
        return DepthAdaptiveField(inner, TimeScale((shape[-1], *self.hidden), self.sign, rngs=rngs))
