"""Path integrals of a network in training, and random end times of its solves."""

import dataclasses

import jax

from odenet.arrays import Array, Key, State
from odenet.depth.grid import DepthGrid
from odenet.integrators.quadrature import Integrand
from odenet.ops.batch_axis import example_keys


@dataclasses.dataclass(frozen=True)
class PathIntegrals:
    """Integrals along the path of every solve, and its random end time.

    Args:
        integrands: Integrands, functions of field, time and state.
        end_width: The end time of each solve is uniform between `1 - end_width` and
            `1 + end_width` times its horizon; 0 for the horizon itself.
        key: Random key; every stage of a network uses its own split.
    """

    integrands: tuple[Integrand, ...]
    end_width: float
    key: Key[Array, ""]

    def at_stage(self, stage: int) -> "PathIntegrals":
        """The same with the key of a stage of a network, from 0."""
        return dataclasses.replace(self, key=jax.random.fold_in(self.key, stage))

    def probe(self, h0: State) -> State:
        """A state of independent standard normal numbers, independent of the sharding of the batch.

        It is sampled once per solve, so that the field is deterministic for the solver.
        """
        keys = example_keys(jax.random.fold_in(self.key, 0), len(h0))
        return jax.vmap(lambda key: jax.random.normal(key, h0.shape[1:], h0.dtype))(keys)

    def ending(self, grid: DepthGrid) -> DepthGrid:
        """The grid up to its random end time: all steps are scaled by one factor."""
        if not self.end_width:
            return grid
        key = jax.random.fold_in(self.key, 1)
        factor = 1 + self.end_width * jax.random.uniform(key, (), grid.taus.dtype, -1.0, 1.0)
        return dataclasses.replace(grid, taus=grid.taus * factor)
