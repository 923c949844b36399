"""A stretch of depth: vector field, weights, step sizes and integrator put together."""

import dataclasses
from fractions import Fraction
from typing import Annotated, Literal

import jax.numpy as jnp
from flax import nnx
from pydantic import Field, model_validator

from odenet.arrays import Scalar, State
from odenet.depth.grid import DepthGrid
from odenet.depth.step_sizes import (
    FixedStepSizes,
    FixedStepSizesConfig,
    LearnedStepSizes,
    StepSizesConfig,
)
from odenet.depth.weights import FieldStack, PerLayerWeightsConfig, WeightsConfig
from odenet.errors import ConfigError
from odenet.fields import FieldConfig, MLPFieldConfig, ResidualFieldConfig
from odenet.integrators import (
    ExplicitConfig,
    Integration,
    Integrator,
    IntegratorConfig,
    LayerByLayer,
    TableauConfig,
)
from odenet.integrators.equation import refuse_other_equation
from odenet.integrators.separable import refuse_field_without_halves
from odenet.models.feedforward import FeedForwardBlockConfig
from odenet.models.projections import IdentityConfig
from odenet.models.shortcuts import ShortcutConfig, build_shortcut
from odenet.models.unit import ResidualUnit
from odenet.part import PartConfig


@dataclasses.dataclass(frozen=True)
class Discretisation:
    """How a trained block is integrated: by what, and in how many times its own steps.

    Args:
        integrator: The integrator, or None for the block's own.
        step_factor: Number of steps, as a multiple of the block's own: 2 halves every step, 1/2
            joins every two. It has no effect on an integrator that chooses its own steps.
    """

    integrator: Integrator | None = None
    step_factor: Fraction = Fraction(1)

    def steps_of(self, grid: DepthGrid) -> DepthGrid:
        """The grid in `step_factor` times its steps.

        Raises:
            ConfigError: if that is not a whole number of steps, or does not fit the layers.
        """
        num_steps = grid.num_steps * self.step_factor
        if num_steps.denominator != 1:
            raise ConfigError(
                f"step_factor {self.step_factor} of {grid.num_steps} steps is not a whole number "
                f"of steps; use a factor whose denominator divides {grid.num_steps}"
            )
        return grid.with_num_steps(int(num_steps))


def _no_live_statistics(integrator: str) -> str:
    return (
        f"batch norm cannot be trained by this integrator, {integrator}: it evaluates the field at "
        f"states that are thrown away, or its steps would depend on the batch; train with an "
        f"explicit method, kind=euler say, and run the trained network by any other, freeze the "
        f"statistics (training.batch_statistics=frozen), or use group norm (field kind=conv)"
    )


_NO_STEP = (
    "is no step h + tau f(t, h) of a method, so there is no f that a solver could integrate, and "
    "its steps cannot be divided"
)


class DepthBlock(nnx.Module):
    """`h(0) -> h(horizon)` by the block's integrator on the block's grid.

    Args:
        weights: The vector field of every layer.
        step_sizes: The step sizes, fixed or learned.
        integrator: How the steps are added up; any other runs the same parameters.
    """

    def __init__(
        self,
        weights: FieldStack,
        step_sizes: FixedStepSizes | LearnedStepSizes,
        integrator: Integrator,
    ):
        self.weights = weights
        self.step_sizes = step_sizes
        self.integrator = integrator

    def grid(self) -> DepthGrid:
        """The block's own grid."""
        return DepthGrid(self.step_sizes.taus(), self.weights.num_layers)

    @property
    def is_euler_step(self) -> bool:
        """Whether a layer is `h + tau f(t, h)`: what explicit Euler takes one step of."""
        return not isinstance(self.integrator, LayerByLayer)

    def penalty(self) -> Scalar:
        """What the step sizes add to the objective."""
        return self.step_sizes.penalty()

    def __call__(
        self,
        h0: State,
        discretisation: Discretisation = Discretisation(),
        *,
        save_path: bool = False,
        live: bool = False,
    ) -> Integration:
        """Integrate `h0`, shape `(batch, *state)`, over the depth of the block.

        Args:
            h0: The first states.
            discretisation: By what and in how many steps.
            save_path: Whether to return the states at all points of the grid too.
            live: Whether batch norms use the statistics of the batch, and move their running ones
                towards them; else the running ones are used, so that a norm is an affine map and
                any integrator may run the block. Without batch norms it has no effect.

        Raises:
            ConfigError: if the grid cannot take `step_factor` times its steps, the integrator
                solves another equation than the block's own, moves halves of the state that the
                field does not have, or cannot carry the statistics; or if a layer is no step of a
                method, and another way to integrate is asked for.
        """
        if not self.is_euler_step and discretisation != Discretisation():
            raise ConfigError(f"a layer of this block {_NO_STEP}; run it as it was trained")
        integrator = discretisation.integrator or self.integrator
        refuse_other_equation(self.integrator, integrator)
        refuse_field_without_halves(integrator, self.weights.stacked)
        live = live and self.weights.has_statistics
        if live and not integrator.carries_statistics:
            raise ConfigError(_no_live_statistics(type(integrator).__name__))
        grid = discretisation.steps_of(self.grid())
        fields = self.weights.fields(live=live).restrict(grid.num_layers)
        integration = integrator.integrate(fields, grid, h0, save_path=save_path)
        if integration.statistics is not None:
            nnx.update(self.weights.stacked, integration.statistics)
        return integration


class DepthBlockConfig(PartConfig):
    """A block whose depth is time."""

    kind: Literal["depth"] = "depth"
    field: FieldConfig = MLPFieldConfig()
    """What one layer computes."""
    num_steps: int = Field(default=8, ge=1, le=10**6)
    """Number of steps of the grid; an explicit Euler step is a residual layer."""
    weights: WeightsConfig = PerLayerWeightsConfig()
    """Which weights act at which depth."""
    step_sizes: StepSizesConfig = FixedStepSizesConfig()
    """How long the steps are, fixed or learned."""
    shortcut: ShortcutConfig = IdentityConfig()
    """What goes around a layer; with any other than `identity`, a layer is no Euler step."""
    integrator: IntegratorConfig = ExplicitConfig()
    """How the steps are added up: `euler` makes a residual network, `diffrax` a neural ODE;
    `leapfrog` and `momentum` solve other equations; `symplectic_euler` and `verlet` need a field of
    two halves."""

    @model_validator(mode="after")
    def _layers_are_steps_of_the_integrator(self):
        if not self.is_euler_step and self.integrator.kind != "euler":
            raise ValueError(
                f"integrator.kind={self.integrator.kind} cannot run this block: with "
                f"{self._no_step} a layer {_NO_STEP}; use integrator.kind=euler, or "
                f"full_preactivation with an identity shortcut, which any integrator runs"
            )
        if not self.is_euler_step and self.weights.kind == "shared_with_time":
            raise ValueError(
                f"with {self._no_step} a layer has no time to see; use weights.kind=per_layer or "
                f"shared"
            )
        return self

    @model_validator(mode="after")
    def _field_has_the_halves_that_the_integrator_moves(self):
        refuse_field_without_halves(self.integrator, self.field)
        return self

    @model_validator(mode="after")
    def _shortcut_matters(self):
        if self.shortcut.kind == "zero_pad":
            raise ValueError(
                "a block keeps the shape of its state, so shortcut.kind=zero_pad would add "
                "nothing; use identity"
            )
        if self.shortcut.kind == "dropout" and self.num_layers != self.num_steps:
            raise ValueError(
                f"shortcut.kind=dropout draws anew in every layer, and {self.num_steps} steps over "
                f"{self.num_layers} layers would share draws; use weights.kind=per_layer without "
                f"num_layers"
            )
        return self

    @property
    def is_euler_step(self) -> bool:
        """Whether a layer is `h + tau f(t, h)`: what explicit Euler takes one step of."""
        return not self.field.acts_on_sum and isinstance(self.shortcut, IdentityConfig)

    @property
    def _no_step(self) -> str:
        """The option that makes a layer something else than a step."""
        if isinstance(self.field, ResidualFieldConfig) and self.field.acts_on_sum:
            return f"field.arrangement={self.field.arrangement}"
        return f"shortcut.kind={self.shortcut.kind}"

    @model_validator(mode="after")
    def _step_sizes_matter(self):
        chosen = self.step_sizes
        simplex = chosen.kind == "learned" and chosen.parametrisation == "simplex"
        if simplex and self.num_layers == 1 and self.integrator.chooses_steps:
            raise ValueError(
                "an integrator that chooses its own steps sees the sum of the step sizes alone on "
                "shared weights, and simplex keeps that fixed, so nothing would be learned; use "
                "weights.kind=per_layer, or step_sizes.kind=fixed"
            )
        return self

    @property
    def num_layers(self) -> int:
        """Number of sets of weights."""
        if isinstance(self.weights, PerLayerWeightsConfig):
            return self.weights.num_layers or self.num_steps
        return 1

    @property
    def has_batch_norm(self) -> bool:
        """Whether the field has batch statistics."""
        return isinstance(self.field, ResidualFieldConfig)

    def check_trainable(self, *, live: bool) -> None:
        """Refuse an integrator that cannot carry the field's batch statistics through training.

        It may run the block once it is trained.

        Args:
            live: Whether training uses the statistics of each batch.

        Raises:
            ConfigError: saying which integrators can.
        """
        carries = isinstance(self.integrator, ExplicitConfig | TableauConfig)
        if live and self.has_batch_norm and not carries:
            raise ConfigError(_no_live_statistics(f"kind={self.integrator.kind}"))

    def check_discretisation(self, discretisation: Discretisation) -> None:
        """Refuse a discretisation that the block cannot take, before anything is built.

        Raises:
            ConfigError: saying which numbers of steps fit, or which integrators.
        """
        if not self.is_euler_step:
            raise ConfigError(f"with {self._no_step} a layer {_NO_STEP}; leave it out")
        if discretisation.integrator is not None:
            refuse_other_equation(self.integrator, discretisation.integrator)
            refuse_field_without_halves(discretisation.integrator, self.field)
        discretisation.steps_of(DepthGrid(jnp.ones(self.num_steps), self.num_layers))

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> DepthBlock:
        """Make the block for states of `shape` (one example's)."""
        self.field.check(shape)

        def make_layer(takes_time: bool, rngs: nnx.Rngs) -> nnx.Module:
            field = self.field.build(shape, takes_time, depth=self.num_steps, rngs=rngs)
            if self.is_euler_step:
                return field
            shortcut = build_shortcut(self.shortcut, shape, shape, rngs=rngs)
            return ResidualUnit(field, shortcut, self.field.draw_after(shape[-1], rngs=rngs))

        weights = self.weights.build(make_layer, self.num_steps, rngs=rngs)
        try:
            step_sizes = self.step_sizes.build(self.num_steps)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        return DepthBlock(weights, step_sizes, self._integrator())

    def _integrator(self) -> Integrator:
        if self.is_euler_step:
            return self.integrator.build()
        assert isinstance(self.integrator, ExplicitConfig)
        return LayerByLayer(self.integrator.remat)


BlockConfig = Annotated[DepthBlockConfig | FeedForwardBlockConfig, Field(discriminator="kind")]
