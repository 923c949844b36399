"""Path integrals that a network carries while it trains, and random ends of its solves."""

import dataclasses

import jax

from odenet.arrays import Array, Key, State
from odenet.depth.grid import DepthGrid
from odenet.integrators.quadrature import Integrand
from odenet.ops.batch_axis import example_keys


@dataclasses.dataclass(frozen=True)
class PathIntegrals:
    """Integrals along the path of every solve, and a random end of it.

    Args:
        integrands: Integrands, functions of field, time and state.
        end_width: Each solve ends at a time uniform between `1 - end_width` and `1 + end_width`
            times its horizon; 0 for the horizon itself.
        key: Random key; every stage of a network has its own part of it.
    """

    integrands: tuple[Integrand, ...]
    end_width: float
    key: Key[Array, ""]

    def at_stage(self, stage: int) -> "PathIntegrals":
        """The same with the key of a stage of a network, from 0."""
        return dataclasses.replace(self, key=jax.random.fold_in(self.key, stage))

    def probe(self, h0: State) -> State:
        """A state of independent standard normal numbers, the same wherever an example is placed.

        One for a whole solve, so that the solver sees a field without noise.
        """
        keys = example_keys(jax.random.fold_in(self.key, 0), len(h0))
        return jax.vmap(lambda key: jax.random.normal(key, h0.shape[1:], h0.dtype))(keys)

    def ending(self, grid: DepthGrid) -> DepthGrid:
        """The grid with all steps longer or shorter by one factor, up to its random end."""
        if not self.end_width:
            return grid
        key = jax.random.fold_in(self.key, 1)
        factor = 1 + self.end_width * jax.random.uniform(key, (), grid.taus.dtype, -1.0, 1.0)
        return dataclasses.replace(grid, taus=grid.taus * factor)
