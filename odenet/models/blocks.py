"""The configs of blocks, and checks that their parts fit together."""

from typing import Literal

import jax.numpy as jnp
from flax import nnx
from pydantic import Field, model_validator

from odenet.depth import PerLayerWeightsConfig, WeightsConfig
from odenet.depth.grid import DepthGrid
from odenet.depth.layer import Layer
from odenet.depth.step_sizes import FixedStepSizesConfig, StepSizesConfig
from odenet.errors import ConfigError
from odenet.fields import MLPFieldConfig, VectorFieldConfig
from odenet.integrators import (
    ExplicitConfig,
    IntegratorConfig,
)
from odenet.integrators.break_points import refuse_break_points_outside
from odenet.integrators.equation import refuse_other_equation
from odenet.integrators.separable import refuse_unpartitioned_field
from odenet.models.base import NO_STEP, BlockConfig
from odenet.models.depth_block import DepthBlock, no_batch_statistics
from odenet.models.discretisation import Discretisation
from odenet.models.empty_block import EmptyBlockConfig as EmptyBlockConfig
from odenet.models.feedforward import FeedForwardBlockConfig as FeedForwardBlockConfig
from odenet.models.layer_stack import UnitBlock
from odenet.models.projections import IdentityConfig
from odenet.models.shortcuts import ShortcutConfig, build_shortcut
from odenet.models.unit import ResidualUnit


class DepthBlockConfig(BlockConfig):
    """A block whose depth is time."""

    kind: Literal["depth"] = "depth"
    field: VectorFieldConfig = MLPFieldConfig()
    """The vector field of a layer."""
    num_steps: int = Field(default=8, ge=1, le=10**6)
    """Number of steps of the grid; an explicit Euler step is a residual layer."""
    weights: WeightsConfig = PerLayerWeightsConfig()
    """The weights over depth."""
    step_sizes: StepSizesConfig = FixedStepSizesConfig()
    """The step sizes, fixed or learned."""
    shortcut: ShortcutConfig = IdentityConfig()
    """The shortcut of a layer; with any other than `identity`, a layer is no Euler step."""
    integrator: IntegratorConfig = ExplicitConfig()
    """The integration method: `euler` makes a residual network, `diffrax` a neural ODE;
    `leapfrog`, `momentum` and `fractional` solve other equations; `symplectic_euler` and `verlet`
    need a partitioned field."""

    @model_validator(mode="after")
    def _field_is_partitioned_where_the_integrator_is(self):
        refuse_unpartitioned_field(self.integrator.build(), self.field, f"kind={self.field.kind}")
        return self

    @model_validator(mode="after")
    def _layers_are_steps_of_the_integrator(self):
        if not self.is_euler_step and self.integrator.layer_remat is None:
            raise ValueError(
                f"integrator.kind={self.integrator.kind} cannot run this block: with "
                f"{self._no_step} a layer {NO_STEP}; use integrator.kind=euler, or "
                f"full_preactivation with an identity shortcut, which any integrator can run"
            )
        if not self.is_euler_step and self.field.takes_start:
            raise ValueError(
                f"field kind={self.field.kind} depends on the initial state of its block, which is "
                f"not available with another shortcut; use shortcut.kind=identity"
            )
        if not self.is_euler_step and (self.weights.takes_time or self._weights_are_functions):
            raise ValueError(
                f"with {self._no_step} a layer has no time; use weights.kind=per_layer or shared"
            )
        return self

    @model_validator(mode="after")
    def _shortcut_matters(self):
        if self.shortcut.is_for_new_channels:
            raise ValueError(
                f"a block keeps the shape of its state, so shortcut.kind={self.shortcut.kind} "
                f"would add nothing; use identity"
            )
        if self.shortcut.is_random and self.num_layers != self.num_steps:
            raise ValueError(
                f"shortcut.kind={self.shortcut.kind} samples a mask in every layer, and "
                f"{self.num_steps} steps over {self.num_layers} layers would share masks; use "
                f"weights.kind=per_layer without num_layers"
            )
        return self

    @property
    def is_euler_step(self) -> bool:
        """Whether a layer is `h + tau f(t, h)`, a step of explicit Euler."""
        return not self.field.acts_on_sum and self.shortcut.is_identity

    @property
    def residual(self) -> "DepthBlockConfig":
        """The block itself: its layers have step sizes."""
        return self

    @property
    def ode(self) -> "DepthBlockConfig | None":
        """The block itself, if its layers are steps of an integration method, else None."""
        return self if self.is_euler_step else None

    @property
    def _no_step(self) -> str:
        """The option that makes a layer no step of an integration method."""
        if self.field.acts_on_sum:
            return f"field.{self.field.sum_option}"
        return f"shortcut.kind={self.shortcut.kind}"

    @model_validator(mode="after")
    def _step_sizes_matter(self):
        chosen = self.step_sizes
        if not chosen.keeps_sum:
            return self
        if self.num_layers == 1 and self.integrator.chooses_steps:
            raise ValueError(
                f"on shared weights, an adaptive integrator depends only on the sum of the step "
                f"sizes, and {chosen.rule} keeps the sum fixed, so nothing would "
                f"be learned; use weights.kind=per_layer, or step_sizes.kind=fixed"
            )
        return self

    @model_validator(mode="after")
    def _break_points_are_met(self):
        try:
            values = self.step_sizes.known(self.num_steps)
        except ValueError:  # raised again when the block is built
            return self
        if values is not None:
            refuse_break_points_outside(self.integrator.build().break_points, values)
        return self

    @model_validator(mode="after")
    def _dense_layers_are_their_own(self):
        if not self.field.layers_are_alike and not self.weights.one_per_step(self.num_steps):
            raise ValueError(
                f"layers of field.kind={self.field.kind} append features, so each needs its own "
                f"weights; use weights.kind=per_layer without num_layers"
            )
        return self

    @model_validator(mode="after")
    def _smoothness_has_a_derivative(self):
        if not self.weights.penalises_change:
            return self
        if self.num_layers == 1:
            raise ValueError(
                "weights.smoothness would be ignored: one set of weights does not change over "
                "depth; remove it"
            )
        if not self.step_sizes.stays_positive:
            raise ValueError(
                "weights.smoothness divides by step sizes, which must stay above 0; use "
                "step_sizes.parametrisation=positive or simplex, or fixed ones above 0"
            )
        return self

    @model_validator(mode="after")
    def _steps_stay_positive_where_needed(self):
        use = "use step_sizes.parametrisation=positive or simplex, or fixed ones above 0"
        if self._weights_are_functions and not self.step_sizes.stays_positive:
            raise ValueError(
                f"weights.kind=basis are functions of the relative depth in [0, 1], so step sizes "
                f"must stay above 0; {use}"
            )
        if self.integrator.needs_positive_steps and not self.step_sizes.stays_positive:
            raise ValueError(
                f"integrator.kind={self.integrator.kind} takes powers of step sizes, which must "
                f"stay above 0; {use}"
            )
        ignored = self.integrator.ignored_option(learns_steps=self.step_sizes.is_learned)
        if ignored is not None:
            raise ValueError(ignored)
        return self

    @property
    def num_layers(self) -> int:
        """Number of sets of weights."""
        return self.weights.num_sets(self.num_steps)

    @property
    def num_sets(self) -> int:
        """Number of stored sets of weights."""
        return self.weights.num_functions(self.num_steps)

    @property
    def summary(self) -> str:
        """A description of the block in one line."""
        return (
            f"{self.num_steps} steps by {self.integrator.kind}, {self.num_layers} sets of weights, "
            f"field {self.field.kind}"
        )

    @property
    def _weights_are_functions(self) -> bool:
        return self.weights.are_functions

    @property
    def has_batch_norm(self) -> bool:
        """Whether a layer has batch statistics."""
        return self.field.has_batch_norm or self.shortcut.has_batch_norm

    def gradient_methods(self) -> dict[str, IntegratorConfig]:
        """The integrator with other gradient methods, by name; see `BlockConfig`."""
        learns = self.step_sizes.is_learned
        return self.integrator.gradient_methods(is_step=self.is_euler_step, learns_steps=learns)

    def check_capacity(self, width: int, before: int | None) -> None:
        """Refuse a state without channels for the features of the layers; see `BlockConfig`."""
        self.field.check_capacity(self.num_steps, width, before)

    def check_trainable(self, *, training: bool) -> None:
        """Refuse an integrator that does not support batch statistics of the field in training.

        It may run the trained block.

        Args:
            training: Whether training uses batch statistics.

        Raises:
            ConfigError: naming the integrators that do.
        """
        if training and self.has_batch_norm and not self.integrator.carries_statistics:
            raise ConfigError(no_batch_statistics(f"kind={self.integrator.kind}"))

    def check_discretisation(self, discretisation: Discretisation) -> None:
        """Refuse a discretisation that does not fit the block, before the block is built.

        Raises:
            ConfigError: naming the numbers of steps, or the integrators, that fit.
        """
        if not self.is_euler_step:
            raise ConfigError(f"with {self._no_step} a layer {NO_STEP}; remove it")
        if discretisation.integrator is not None:
            refuse_other_equation(self.integrator.equation, discretisation.integrator.equation)
            name = f"kind={self.field.kind}"
            refuse_unpartitioned_field(discretisation.integrator, self.field, name)
        discretisation.steps_of(DepthGrid(jnp.ones(self.num_steps), self.num_layers))

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> DepthBlock | UnitBlock:
        """Make the block for states of `shape` (one example's)."""
        self.field.check(shape)

        def make_layer(takes_time: bool, rngs: nnx.Rngs) -> Layer:
            built = self.field.build(shape, takes_time, depth=self.num_steps, rngs=rngs)
            field = self.field.check_built(built)
            if self.is_euler_step:
                return field
            shortcut = build_shortcut(self.shortcut, shape, shape, rngs=rngs)
            return ResidualUnit(field, shortcut, self.field.init_after(shape[-1], rngs=rngs))

        weights = self.weights.build(make_layer, self.num_steps, rngs=rngs)
        try:
            step_sizes = self.step_sizes.build(self.num_steps)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        if self.is_euler_step:
            return DepthBlock(weights, step_sizes, self.integrator.build())
        remat = self.integrator.layer_remat
        assert remat is not None
        return UnitBlock(weights, step_sizes, remat)
