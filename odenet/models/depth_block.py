"""A discretised ODE: vector field, weights, step sizes and integrator of one block."""

from typing import Any

from flax import nnx

from odenet.arrays import State
from odenet.depth import FieldExpansion, FieldStack
from odenet.depth.grid import DepthGrid
from odenet.depth.layer_fields import LayerFields
from odenet.depth.step_sizes import AbstractStepSizes
from odenet.depth.time_reversal import reversed_in_time
from odenet.errors import ConfigError
from odenet.integrators import Integration, Integrator, IntegratorConfig
from odenet.integrators.equation import FIRST_ORDER, refuse_other_equation
from odenet.integrators.quadrature import integrate_with_integrals
from odenet.integrators.separable import refuse_unpartitioned_field
from odenet.integrators.state_types import checked_state
from odenet.models.base import OdeBlock
from odenet.models.discretisation import AS_TRAINED, Discretisation
from odenet.models.eager import call_compiled
from odenet.models.path_integrals import PathIntegrals


def no_batch_statistics(integrator: str) -> str:
    """The reason why an integrator cannot train batch norms, and alternatives."""
    return (
        f"batch norm cannot be trained by this integrator, {integrator}: it evaluates the field at "
        f"states that it discards, or its steps would depend on the batch; train with an "
        f"explicit method, such as kind=euler, and run the trained network by any other, freeze "
        f"the statistics (training.batch_statistics=frozen), or use group norm (field kind=conv)"
    )


class DepthBlock(OdeBlock):
    """`h(0) -> h(horizon)` by the block's integrator on the block's grid.

    Args:
        weights: The vector field of every layer.
        step_sizes: The step sizes, fixed or learned.
        integrator: The integration method; any other can run the same parameters.
    """

    def __init__(
        self,
        weights: FieldStack | FieldExpansion,
        step_sizes: AbstractStepSizes,
        integrator: Integrator,
    ):
        self.weights = weights
        self.step_sizes = step_sizes
        self.integrator = integrator

    def run(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """Integrate other fields of this form on another grid; see `ResidualBlock`."""
        return self.integrator.integrate(fields, grid, h0, save_path=save_path)

    def differentiate_by(self, config: IntegratorConfig) -> None:
        """Use the gradient method of the integrator of these options; see `ResidualBlock`."""
        self.integrator = config.build()

    def __call__(
        self,
        h0: Any,
        discretisation: Discretisation = AS_TRAINED,
        *,
        save_path: bool = False,
        training: bool = False,
        path_integrals: PathIntegrals | None = None,
    ) -> Integration:
        """Integrate `h0`, shape `(batch, *state)`, over the depth of the block.

        Args:
            h0: The initial states, a JAX or NumPy array of floating-point numbers.
            discretisation: Integrator and number of steps.
            save_path: Whether to return the states at all points of the grid too.
            training: Training mode: batch norms use batch statistics and update the running ones.
                Otherwise they use the running statistics: a norm is an affine map, and any
                integrator may run the block. No effect without batch norms.
            path_integrals: Path integrals, integrated with the state, and the end time.

        Raises:
            StateTypeError: if the states are integers, or the weights have a wider type than the
                states.
            ConfigError: if the grid does not fit `step_factor` times its steps; if the integrator
                solves another equation than the block's own, is partitioned where the field is not,
                or does not support batch statistics; or if a layer is no step of a method, and
                another discretisation is given.
        """
        h0 = checked_state(h0)
        integrator = discretisation.integrator or self.integrator
        field = self.weights.stacked
        refuse_other_equation(self.integrator.equation, integrator.equation)
        refuse_unpartitioned_field(integrator, field, type(field).__name__)
        training = training and self.weights.has_batch_statistics
        if training and not integrator.carries_statistics:
            raise ConfigError(no_batch_statistics(type(integrator).__name__))
        if path_integrals is not None:
            return self._integrate_with_integrals(
                h0, discretisation, path_integrals, save_path, training
            )
        return call_compiled(
            DepthBlock._integrate,
            self,
            h0,
            discretisation,
            save_path,
            training,
            forward_mode_refusal=integrator.forward_mode_refusal,
        )

    def _integrate(
        self, h0: State, discretisation: Discretisation, save_path: bool, training: bool
    ) -> Integration:
        """Integrate over the steps of the grid."""
        grid = discretisation.steps_of(self.grid())
        return self._over(grid, h0, discretisation, save_path, training)

    def _integrate_with_integrals(
        self,
        h0: State,
        discretisation: Discretisation,
        path_integrals: PathIntegrals,
        save_path: bool,
        training: bool,
    ) -> Integration:
        """Integrate the state and the path integrals up to a random end time."""
        grid = path_integrals.ending(discretisation.steps_of(self.grid()))
        if not path_integrals.integrands:
            return self._over(grid, h0, discretisation, save_path, training)
        integrator = discretisation.integrator or self.integrator
        fields = self.weights.over(grid, training=training).from_start(h0)
        probe, integrands = path_integrals.probe(h0), path_integrals.integrands
        return integrate_with_integrals(
            integrator, fields, grid, h0, integrands, probe, save_path=save_path
        )

    def _over(
        self,
        grid: DepthGrid,
        h0: State,
        discretisation: Discretisation,
        save_path: bool,
        training: bool,
    ) -> Integration:
        integrator = discretisation.integrator or self.integrator
        fields = self.weights.over(grid, training=training).from_start(h0)
        integration = integrator.integrate(fields, grid, h0, save_path=save_path)
        if integration.statistics is not None:
            nnx.update(self.weights.stacked, integration.statistics)
        return integration

    def inverse(
        self, h1: Any, discretisation: Discretisation = AS_TRAINED, *, save_path: bool = False
    ) -> Integration:
        r"""Integrate the block's equation backwards: from `h(horizon)` to `h(0)`.

        It solves $dh/ds = -f(T - s, h)$ from $h(T)$. This is the inverse of the flow, and inverts
        the method only up to its discretisation error: use more steps, or a diffrax solver with
        small tolerances, in both passes. If the flow contracts states, the backward solve
        amplifies errors.

        Args:
            h1: The final states, shape `(batch, *state)`.
            discretisation: Integrator and number of steps; break points of its integrator are
                counted from the horizon.
            save_path: Whether to return the states at all points of the grid too, from the
                horizon to 0.

        Returns:
            The integration; its `h1` is the state at depth-time 0.

        Raises:
            ConfigError: if a layer is no step of a method, the equation is not of first order or
                depends on the initial state, the block's own integrator has break points, or as
                `__call__`.
        """
        h1 = checked_state(h1)
        integrator = discretisation.integrator or self.integrator
        field = self.weights.stacked
        refuse_other_equation(self.integrator.equation, integrator.equation)
        refuse_unpartitioned_field(integrator, field, type(field).__name__)
        if integrator.equation != FIRST_ORDER:
            raise ConfigError(
                f"only {FIRST_ORDER.formula} can be integrated backwards from its final state "
                f"alone; this block solves {integrator.equation.formula}, which needs more data"
            )
        if discretisation.integrator is None and integrator.break_points:
            raise ConfigError(
                f"break_points={list(integrator.break_points)} are depth-times from the start of "
                f"the block, and a backward solve starts at its end; give a discretisation whose "
                f"integrator counts them from the end, as horizon - t"
            )
        if self.weights.over(self.grid()).takes_start:
            raise ConfigError(
                "the field depends on the state at depth-time 0, which is the unknown; it has no "
                "inverse by integration"
            )
        return call_compiled(
            DepthBlock._integrate_back,
            self,
            h1,
            discretisation,
            save_path,
            forward_mode_refusal=integrator.forward_mode_refusal,
        )

    def _integrate_back(
        self, h1: State, discretisation: Discretisation, save_path: bool
    ) -> Integration:
        grid = discretisation.steps_of(self.grid())
        backward, grid = reversed_in_time(self.weights.over(grid), grid)
        integrator = discretisation.integrator or self.integrator
        return integrator.integrate(backward, grid, h1, save_path=save_path)
