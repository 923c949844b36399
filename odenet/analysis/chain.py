"""A block as a chain of maps, one per step; each is a factor of the gradient's product."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from odenet.arrays import Array, Float, State, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.errors import ConfigError
from odenet.integrators.base import StepMap
from odenet.integrators.equation import FIRST_ORDER
from odenet.models import LayerStack, Network
from odenet.models.base import OdeBlock


@dataclasses.dataclass(frozen=True)
class Chain:
    """The steps of a block as functions of all their variables.

    Args:
        step: `step(params, fixed, t0, tau, h) -> h`, with the variables of one layer.
        params: Trained weights of every layer; each leaf has a leading axis `num_layers`.
        fixed: Every other variable of every layer, running statistics included, with the same axis.
        t0s: Start of every step, shape `(num_layers, steps_per_layer)`.
        taus: Length of every step, same shape; 1, without effect, in a feed-forward block.
        has_identity: Whether a step is `h + ...`.
        has_taus: Whether the lengths have an effect.
    """

    step: Callable[[Any, Any, Time, Time, State], State]
    params: Any
    fixed: Any
    t0s: Float[Array, "layers steps"]
    taus: Float[Array, "layers steps"]
    has_identity: bool
    has_taus: bool

    @property
    def num_layers(self) -> int:
        """Number of sets of weights."""
        return self.taus.shape[0]

    @property
    def num_steps(self) -> int:
        """Number of steps, each one factor of the product."""
        return self.taus.size

    def each_step(
        self, measure: Callable[..., Any], path: Float[Array, "points batch *state"]
    ) -> Any:
        """`measure(step, h)` of every step at its initial state, stacked along axis 0.

        Args:
            measure: Takes the step as a function of the state alone, and a batch of states.
            path: States at all points, shape `(num_steps + 1, batch, *state)`.
        """
        starts = path[:-1].reshape(*self.taus.shape, *path.shape[1:])

        def layer(inputs):
            params, fixed, *steps = inputs

            def one(inputs):
                t0, tau, h = inputs
                return measure(lambda h: self.step(params, fixed, t0, tau, h), h)

            return jax.lax.map(one, tuple(steps))

        found = jax.lax.map(layer, (self.params, self.fixed, self.t0s, self.taus, starts))
        return jax.tree.map(lambda leaf: leaf.reshape(self.num_steps, *leaf.shape[2:]), found)


def chains_of(network: Network, *, training: bool = False) -> list[Chain]:
    """The steps of every block of a network.

    Raises:
        ConfigError: as `chain_of`.
    """
    return [chain_of(block, training=training) for block in network.blocks]


def chain_of(block: Any, *, training: bool = False) -> Chain:
    """The steps of a block.

    Args:
        block: A block of any kind.
        training: Whether batch norms use the statistics of the batch, as in training; the examples
            of a batch then interact, and a step has no factor per example. Otherwise they use their
            running statistics, and are affine maps.

    Raises:
        ConfigError: if the steps of the block's integrator are not maps of the state on the grid
            (`Integrator.step_map`): an adaptive integrator has no fixed factor per step, and
            others carry a velocity besides the state.
    """
    if block.stack is not None:
        return _of_layers(block.stack, training)
    if block.ode is None:
        raise ConfigError(
            f"the gradient is followed through blocks of kind depth and feedforward; got "
            f"{type(block).__name__}, which has no layers of its own"
        )
    if block.ode.weights.stacked.takes_start:
        raise ConfigError(
            "the gradient is followed from state to state, and the field of this block depends on "
            "its initial state at every depth, so that the factors of the steps are not the whole "
            "gradient; use a field of another kind than data_controlled or depth_adaptive"
        )
    integrator = block.ode.integrator
    step = None if integrator.chooses_steps else integrator.step_map()
    if step is None:
        raise ConfigError(
            f"the gradient is followed step by step, so the integrator must be a method with the "
            f"steps of the grid and no variables besides the state; got "
            f"{type(integrator).__name__}; to analyse the same weights as a residual network, set "
            f"model.block.integrator.kind=euler"
            + (
                ""
                if integrator.equation == FIRST_ORDER
                else f", after training with it ({type(integrator).__name__} solves "
                f"{integrator.equation.formula})"
            )
        )
    return _of_steps(block.ode, step, training)


def _fields_of_layers(block: OdeBlock, training: bool) -> tuple[LayerFields, DepthGrid]:
    """The sets of weights used by the steps, and the steps."""
    grid = block.grid()
    if not block.weights.are_functions:
        return block.weights.over(grid, training=training), grid
    if training or not block.integrator.evaluates_at_start or block.step_sizes.is_learned:
        raise ConfigError(
            "with weights that are functions of depth (weights.kind=basis), the gradient is "
            "followed through integrator.kind=euler with fixed step sizes and frozen batch "
            "statistics: every step then has one set of weights that depends on nothing else; set "
            "model.block.integrator.kind=euler and model.block.step_sizes.kind=fixed"
        )
    return block.weights.at_steps(grid), DepthGrid(grid.taus, grid.num_steps)


def _of_steps(block: OdeBlock, step_map: StepMap, training: bool) -> Chain:
    fields, grid = _fields_of_layers(block, training)
    field = _pure(fields)

    def step(params, fixed, t0, tau, h):
        t0, tau = t0.astype(h.dtype), tau.astype(h.dtype)
        here = jax.tree_util.Partial(field, nnx.merge_state(params, fixed))
        return step_map(here, t0, tau, h)

    shape = (grid.num_layers, grid.steps_per_layer)
    t0s, taus = grid.times[:-1].reshape(shape), grid.taus.reshape(shape)
    params, fixed = nnx.split_state(fields.params, nnx.Param, ...)
    return Chain(step, params, fixed, t0s, taus, True, True)


def _of_layers(stack: LayerStack, training: bool) -> Chain:
    if stack.weights.stacked.is_random:
        raise ConfigError(
            "the gradient is not followed through shortcut.kind=dropout: in training its factors "
            "are random; use another shortcut"
        )
    fields = stack.layers(training=training)
    layer = _pure(fields)

    def step(params, fixed, t0, tau, h):
        del t0
        return layer(nnx.merge_state(params, fixed), tau.astype(h.dtype), h)

    taus = stack.taus().reshape(fields.num_layers, -1)
    params, fixed = nnx.split_state(fields.params, nnx.Param, ...)
    has_steps = stack.residual is not None
    return Chain(step, params, fixed, jnp.zeros_like(taus), taus, False, has_steps)


def _pure(fields: LayerFields) -> Callable[[Any, Time, State], State]:
    """The field as a function of its variables, so that its preparation is differentiated too."""
    if fields.uses_batch_statistics:
        return lambda params, t, h: fields.apply(params, t, h)[0]
    prepare = fields.prepare
    if prepare is None:
        return fields.apply
    return lambda params, t, h: fields.apply(prepare(params, h), t, h)
