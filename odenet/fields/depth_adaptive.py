"""Depth that depends on the example: a field times a learned number for each of them."""

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

_OF_ONE = math.log(math.e - 1)
"""What softplus maps to 1."""


class TimeScale(nnx.Module):
    r"""One number $s(h)$ for every example, 1 for all of them at first.

    Affine maps with tanh between them, the last of which starts at zero; of images, the mean over
    the pixels goes in.

    Args:
        widths: Widths before and between the affine maps, the first that of the state.
        sign: Whether $s$ is positive, by softplus, or any number.
        rngs: Random keys.
    """

    def __init__(self, widths: tuple[int, ...], sign: Sign, *, rngs: nnx.Rngs):
        zeros = nnx.initializers.zeros
        self.sign: Sign = sign
        self.hidden = nnx.List([nnx.Linear(i, o, rngs=rngs) for i, o in itertools.pairwise(widths)])
        self.last = nnx.Linear(widths[-1], 1, kernel_init=zeros, rngs=rngs)

    def __call__(self, h: Before) -> Float[Array, " batch"]:
        """The number of every example."""
        x = jnp.mean(h, axis=tuple(range(1, h.ndim - 1)))
        for affine in self.hidden:
            x = jnp.tanh(affine(x))
        raw = self.last(x)[:, 0]
        return jax.nn.softplus(raw + _OF_ONE) if self.sign == "positive" else 1 + raw


class DepthAdaptiveField(WrappedField):
    r"""$f(t, h) = s(h(0))\, g(t, h)$, with a learned number $s$ for every example.

    After Massaroli et al. 2020, arXiv:2002.08071, sec. 5, where an example is integrated to a
    horizon of its own: with a `g` that does not depend on the time, the state at depth `T` is that
    of `h' = g(h)` at `s T`. Where `g` depends on the time, the time that it sees is that of the
    grid, the same for all examples. A negative `s` goes backwards.

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
        """Whether the inner field is."""
        return self.inner.is_separable

    def inner_input(self, h: Before, start: Before) -> After:
        """The state."""
        del start
        return h

    def output_of(self, derivative: After, h: Before, start: Before) -> Before:
        """What the inner field gave, times the number of the example."""
        return self.pace(start).reshape(-1, *[1] * (h.ndim - 1)) * derivative


class DepthAdaptiveFieldConfig(WrappedFieldConfig):
    """s(h(0)) g(t, h): every example goes as far as a learned number for it says."""

    kind: Literal["depth_adaptive"] = "depth_adaptive"
    inner: VectorFieldConfig = MLPFieldConfig()
    """The field `g`, the same for all examples."""
    sign: Sign = "positive"
    """Whether `s` is positive or any number; it is 1 at first."""
    hidden: tuple[PositiveInt, ...] = ()
    """Widths of the tanh layers between the first state and `s`; without any, `s` is a function of
    an affine map."""

    @property
    def takes_start(self) -> bool:
        """Whether the field depends on the state at the start of its block too: yes."""
        return DepthAdaptiveField.takes_start

    @property
    def is_separable(self) -> bool:
        """Whether the inner field is."""
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
