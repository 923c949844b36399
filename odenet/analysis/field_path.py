"""Blocks as vector fields along the paths of selected examples."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from odenet.arrays import Array, Float, State, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import Integrator
from odenet.integrators.base import Field
from odenet.models import Block, Network

Path = Float[Array, "points batch *state"]


@dataclasses.dataclass(frozen=True)
class FieldPath:
    """A block, and the states of selected examples along their paths through it.

    Attributes:
        block: The block, with running statistics in its batch norms.
        path: States at all points of the grid, by the block's own integrator.
        fields: The field of every layer; None if a layer is not a step of a method, so that no
            field is integrated.
        grid: The steps; None in a block whose depth is not time.
        integrator: The integrator of the fields; None without fields.
    """

    block: Block
    path: Path
    fields: LayerFields | None
    grid: DepthGrid | None
    integrator: Integrator | None = None

    def each_step(self, measure: Callable[[Field, Time, Time, State], Any]) -> Any:
        """`measure(field, t0, tau, h)` of every step at its initial states, stacked.

        Args:
            measure: Takes the field with the weights of the step, and a batch of states.
        """
        assert self.fields is not None
        assert self.grid is not None
        fields, h0 = self.fields.prepared(self.path[0]), self.path[0]
        grid = DepthGrid(self.grid.taus.astype(h0.dtype), self.grid.num_layers)
        shape = (grid.num_layers, grid.steps_per_layer)
        t0s, taus = grid.times[:-1].reshape(shape), grid.taus.reshape(shape)
        starts = self.path[:-1].reshape(*shape, *h0.shape)

        def layer(inputs):
            params, *steps = inputs
            field = jax.tree_util.Partial(fields.apply, params)
            return jax.lax.map(lambda step: measure(field, *step), tuple(steps))

        found = jax.lax.map(layer, (fields.params, t0s, taus, starts))
        return jax.tree.map(lambda leaf: leaf.reshape(grid.num_steps, *leaf.shape[2:]), found)


def field_paths(network: Network, inputs: Float[Array, "batch *inputs"]) -> list[FieldPath]:
    """The blocks of a network, and the paths of examples through them.

    Args:
        network: Blocks of any kind.
        inputs: Normalised inputs of selected examples.
    """
    x, found = inputs, []
    for projection, block in zip(network.projections, network.blocks, strict=True):
        found.append(field_path(block, projection(x)))
        x = found[-1].path[-1]
    return found


def field_path(block: Block, h0: State) -> FieldPath:
    """A block, and the paths from the states `h0` through it."""
    path = block(h0, save_path=True).path
    assert path is not None
    ode, grid = block.ode, None if block.residual is None else block.residual.grid()
    if ode is None:
        return FieldPath(block, path, None, grid)
    return FieldPath(block, path, ode.weights.over(ode.grid()), grid, ode.integrator)
