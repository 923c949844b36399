"""Stacks of layers that discretise no ODE: feed-forward layers, and residual units as published."""

import abc
from typing import Any

import jax.numpy as jnp
from flax import nnx

from odenet.arrays import State, StepSizes
from odenet.depth import FieldStack
from odenet.depth.grid import DepthGrid
from odenet.depth.layer_fields import LayerFields
from odenet.depth.step_sizes import AbstractStepSizes
from odenet.integrators import Integration, IntegratorConfig, SolverStats
from odenet.integrators.path import path_through
from odenet.integrators.remat import Remat, scan_depth
from odenet.integrators.state_types import (
    carried_type,
    checked_fields,
    checked_state,
    grid_for,
    refuse_other_layers,
)
from odenet.models.base import NO_STEP, Block, ResidualBlock
from odenet.models.discretisation import AS_TRAINED, Discretisation
from odenet.models.eager import call_compiled
from odenet.models.path_integrals import PathIntegrals


class LayerStack(Block):
    r"""$h_k = g(\tau_k, h_{k-1}; \theta_k)$ with layers $g$: the contract.

    A layer is no step of a vector field, so there is no other method or number of steps.

    Attributes:
        weights: The layers, called as `layer(tau, h)`.
        remat: Rematerialisation: the states that are stored for the backward pass.
    """

    weights: FieldStack
    remat: Remat = "none"

    @property
    def stack(self) -> "LayerStack":
        """The block itself."""
        return self

    @abc.abstractmethod
    def taus(self) -> StepSizes:
        """The step-size argument of every layer, shape `(num_steps,)`."""

    def layers(self, *, training: bool = False) -> LayerFields:
        """The layers in functional form, `apply(params, tau, h) -> next state`.

        Args:
            training: Whether batch norms use the statistics of the batch.
        """
        return self.weights.fields(training=training)

    def __call__(
        self,
        h0: Any,
        discretisation: Discretisation = AS_TRAINED,
        *,
        save_path: bool = False,
        training: bool = False,
        path_integrals: PathIntegrals | None = None,
    ) -> Integration:
        """Apply the layers to `h0`, shape `(batch, *state)`; `nfe` is their number.

        Args:
            h0: The initial states, a JAX or NumPy array of floating-point numbers.
            discretisation: Must be that of training.
            save_path: Whether to return the states between the layers too.
            training: Training mode: batch norms use batch statistics and update the running ones.
            path_integrals: Must be None.

        Raises:
            StateTypeError: if the states are integers, or layers give another shape or type.
            ConfigError: if an argument requires an ODE.
        """
        h0 = checked_state(h0)
        self.refuse_as_ode(discretisation, path_integrals)
        training = training and self.weights.has_batch_statistics
        return call_compiled(LayerStack._apply, self, h0, save_path, training)

    def _apply(self, h0: State, save_path: bool, training: bool) -> Integration:
        grid = DepthGrid(self.taus(), self.weights.num_layers)
        found = self.run(self.layers(training=training), grid, h0, save_path=save_path)
        if found.statistics is not None:
            nnx.update(self.weights.stacked, found.statistics)
        return found

    def run(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """Apply layers of the form of the block to `h0`.

        A state in half precision is kept in float32 between layers, as in integrators.

        Args:
            fields: The layers in functional form.
            grid: The step sizes of the layers.
            h0: The initial states, shape `(batch, *state)`.
            save_path: Whether to return the states between the layers too.
        """
        refuse_other_layers(fields, grid)
        start = h0.astype(carried_type(h0.dtype))
        fields, grid = checked_fields(fields, h0.dtype), grid_for(grid, h0.dtype)

        def step(layer, h, t0, tau):
            del t0
            found = layer(tau, h)
            h, statistics = found if fields.uses_batch_statistics else (found, None)
            return h, (h if save_path else None, statistics)

        h1, (states, each) = scan_depth(step, start, fields, grid, self.remat)
        path = path_through(start, states).astype(h0.dtype) if save_path else None
        stats = SolverStats.of(grid.num_steps, grid.num_steps).reaching(grid.horizon)
        statistics = fields.collect(each) if fields.uses_batch_statistics else None
        return Integration(h1.astype(h0.dtype), path, stats, statistics)


class FeedForwardBlock(LayerStack):
    r"""$h_{k} = f(h_{k-1}; \theta_k)$: the layers of a residual network without `h + ...`.

    Args:
        weights: The map of every layer.
    """

    def __init__(self, weights: FieldStack):
        self.weights = weights

    def taus(self) -> StepSizes:
        """Ones: a plain layer has no step size and no time."""
        return jnp.ones(self.weights.num_layers, dtype=float)

    def layer_weights(self) -> Any:
        """Weights of every layer, a tree with a leading axis `num_layers`."""
        return self.weights.of_layers()


class UnitBlock(LayerStack, ResidualBlock):
    r"""Residual units that are no steps of a method, $h_k = A(S(h_{k-1}) + \tau_k F(h_{k-1}))$.

    An example is the original residual unit: ReLU also acts on the sum of state and branch, so the
    unit is no step of a vector field (He et al. 2016, arXiv:1603.05027, fig. 4a).

    Args:
        weights: The unit of every layer.
        step_sizes: The step sizes, fixed or learned.
        remat: Rematerialisation: the states that are stored for the backward pass.
    """

    no_ode = f"a layer of this block {NO_STEP}"

    def __init__(self, weights: FieldStack, step_sizes: AbstractStepSizes, remat: Remat = "none"):
        self.weights = weights
        self.step_sizes = step_sizes
        self.remat: Remat = remat

    def taus(self) -> StepSizes:
        """The step sizes, shape `(num_steps,)`."""
        return self.step_sizes.taus()

    def differentiate_by(self, config: IntegratorConfig) -> None:
        """Use the rematerialisation of these options; see `ResidualBlock`."""
        assert config.layer_remat is not None
        self.remat = config.layer_remat
