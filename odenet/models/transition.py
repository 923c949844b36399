r"""Layers between states of different shapes, $y = P h + \tau F(h)$.

He et al. 2015 (arXiv:1512.03385, eq. 2 and sec. 4.2); Antil, Díaz and Herberg 2022
(arXiv:2204.08528, sec. 4). In a network, such a layer precedes a block of layers of equal shape.
"""

from typing import Any, Literal

import jax.numpy as jnp
from flax import nnx
from pydantic import PositiveInt, model_validator

from odenet.arrays import After, Before
from odenet.depth.step_sizes import (
    AbstractStepSizes,
    FixedStepSizesConfig,
    StepSizesConfig,
)
from odenet.errors import ConfigError
from odenet.fields import ResidualFieldConfig, VectorFieldConfig
from odenet.fields.base import ShapeChange
from odenet.fields.layers import Padding, in_mode
from odenet.models.maps import NormedMap, Projection, Shape
from odenet.models.projection_config import StageProjectionConfig
from odenet.models.projections import (
    IdentityConfig,
)
from odenet.models.shortcuts import ShortcutConfig, build_shortcut
from odenet.models.unit import ResidualUnit


class TransitionLayer(NormedMap):
    r"""$A(P B(h) + \tau F(B(h)))$.

    Args:
        before: $B$, called as `before(t, h)`, or None.
        unit: Shortcut $P$, branch $F$, and $A$.
        step_sizes: The step size of the layer.
    """

    def __init__(self, before: Any, unit: ResidualUnit, step_sizes: AbstractStepSizes):
        self.before = before
        self.unit = unit
        self.step_sizes = step_sizes

    def through(self, x: Before, training: bool) -> After:
        """The output state, with batch norms in training mode or not."""
        tau = self.step_sizes.taus()[0].astype(x.dtype)
        if self.before is not None:
            x = in_mode(self.before, training)(jnp.zeros((), x.dtype), x)
        return in_mode(self.unit, training)(tau, x)


class TransitionConfig(StageProjectionConfig):
    """A residual layer from one shape to another, with a projection shortcut.

    It may also keep the shape, as the first unit of a network with full pre-activation: the norm
    and ReLU before its first weight then act on both shortcut and branch.
    """

    kind: Literal["unit"] = "unit"
    field: VectorFieldConfig = ResidualFieldConfig()
    """The branch; `residual`, or `mlp` for vectors."""
    shortcut: ShortcutConfig = IdentityConfig()
    """The shortcut; `zero_pad` is option A of He et al. 2015, `conv` with `kernel_size: 1` and
    `bias: false` option B, `matrix` the projection of vectors."""
    stride: PositiveInt = 1
    """Stride of the branch on images; the shortcut has its own."""
    strided_weight: PositiveInt | None = None
    """Number of the branch's strided weight, from 1; default: the first."""
    widened_weight: Literal[1, 2] = 1
    """Number of the weight of a basic unit that changes the width: the first as published, or the
    second."""
    shared: bool = True
    """Whether the norm and ReLU before the first weight, if the arrangement has them, act on both
    shortcut and branch, as published; else only on the branch, and `shortcut` may have its own,
    with `order: norm_first`."""
    padding: Padding = "symmetric"
    """Zero padding at the strided weight: `symmetric`, equal on every side, as in PyTorch, or
    `same`, the minimal padding that keeps every pixel, as in Flax and TensorFlow."""
    activated: bool = False
    """Whether the input is already normalised and activated, as after the first convolution of a
    network with pre-activation; there is then no norm or ReLU before the first weight."""
    step_sizes: StepSizesConfig = FixedStepSizesConfig()
    """The step size of the layer, fixed or learned."""

    @model_validator(mode="after")
    def _nothing_ignored(self):
        if self.stride == 1 and self.strided_weight is not None:
            raise ValueError("stride=1 would ignore strided_weight; remove it")
        if self.stride == 1 and self.padding != "symmetric":
            raise ValueError(f"stride=1 would ignore padding={self.padding}; remove it")
        if self.activated and not self.shared:
            raise ValueError("activated=true would ignore shared=false; keep one of the two")
        set_by_user = {"widened_weight": self.widened_weight != 1, "shared": not self.shared}
        for name in (name for name, is_set in set_by_user.items() if is_set):
            if name not in self.field.transition_options:
                raise ValueError(
                    f"field kind={self.field.kind} would ignore {name}; remove it, or use residual"
                )
        chosen = self.step_sizes
        if chosen.keeps_sum:
            raise ValueError(
                f"{chosen.rule} fixes the sum of the step sizes, and a layer has only one, "
                f"so nothing would be learned; use parametrisation=free or positive, or "
                f"step_sizes.kind=fixed"
            )
        return self

    @property
    def has_batch_norm(self) -> bool:
        """Whether branch or shortcut contains a batch norm."""
        return self.field.has_batch_norm or self.shortcut.has_batch_norm

    @property
    def unit(self) -> "TransitionConfig":
        """The options themselves."""
        return self

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the layer from states of `shape` to states of `width` channels.

        Raises:
            ConfigError: if branch and shortcut have different output shapes, or do not fit `shape`.
        """
        place = (self.strided_weight or 1) - 1
        widened = self.widened_weight - 1
        change = ShapeChange(shape, width, self.stride, place, self.padding, widened, self.shared)
        parts = self.field.build_transition(change, rngs=rngs)
        if self.activated and parts.before is None:
            raise ConfigError(
                "activated=true would be ignored: this field has no norm or ReLU before its first "
                "weight; remove it"
            )
        after = (*(-(-side // self.stride) for side in shape[:-1]), width)
        shortcut = build_shortcut(self.shortcut, shape, after, rngs=rngs)
        try:
            step_sizes = self.step_sizes.build(1)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        before = None if self.activated else parts.before
        unit = ResidualUnit(parts.branch, shortcut, parts.after)
        return Projection(TransitionLayer(before, unit, step_sizes), after)
