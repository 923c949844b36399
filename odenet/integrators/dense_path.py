"""A path through all grid points from one solve of each layer, by its dense output."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from odenet.arrays import Array, Flag, Float, State, StepSizes, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.base import Field, Integration, SolverStats
from odenet.integrators.failure import Failure, first_failure
from odenet.integrators.path import path_through, without_unreached

Solve = Callable[[Field, Time, Time, State, Any], tuple[Any, SolverStats]]
"""`solve(field, t0, tau, h0, parts) -> (states, stats)`: the states at the `parts` (fractions in
[0, 1]) of an interval and at its end."""


def integrate_densely(solve: Solve, fields: LayerFields, grid: DepthGrid, h0: State) -> Integration:
    """Integrate by one solve for every layer, with a path through all points of the grid.

    The step sizes of a layer must have one sign: with mixed signs, grid points may lie outside the
    interval of the solve. `stats.success` is then false, and those states are NaN.
    """
    fields = fields.prepared(h0)
    taus = grid.taus.reshape(grid.num_layers, grid.steps_per_layer)
    starts = DepthGrid(jnp.sum(taus, axis=1)).times[:-1]

    def layer(h, inputs):
        params, t0, taus = inputs
        field = fields.field(params)
        parts, inside = _parts(taus)
        path, stats = solve(field, t0, jnp.sum(taus), h, parts)
        outside = jnp.where(inside, int(Failure.NONE), int(Failure.OUTSIDE)).astype(jnp.int32)
        path = path.at[:-1].set(jnp.where(inside, path[:-1], jnp.nan))
        stats = dataclasses.replace(stats, failure=first_failure(stats.failure, outside))
        return path[-1], (path, stats)

    # `without_unreached` handles failed layers; a solver omits the points inside them itself.
    inputs = (fields.params, starts, taus)
    if grid.num_layers == 1:
        h1, (path, stats) = layer(h0, jax.tree.map(lambda leaf: leaf[0], inputs))
        path, failure = path[None], stats.failure[None]
    else:
        h1, (path, each) = jax.lax.scan(layer, h0, inputs)
        stats, failure = each.total(), each.failure
    path = without_unreached(path, failure)
    return Integration(h1, path_through(h0, path), stats)


def _parts(taus: StepSizes) -> tuple[Float[Array, " inner"], Flag]:
    """Ends of all steps but the last as fractions of their sum, and whether they have one sign."""
    horizon = jnp.sum(taus)
    inside = jnp.all(taus >= 0) | jnp.all(taus <= 0)
    parts = jnp.cumsum(taus)[:-1] / jnp.where(horizon == 0, jnp.ones_like(horizon), horizon)
    # Rounding, and steps of mixed sign, must not make a compiled solve raise.
    return jax.lax.cummax(jnp.clip(parts, 0, 1)), inside
