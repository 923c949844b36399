"""How a trained network is run: by which integrator, and in how many steps."""

import dataclasses
from fractions import Fraction

from odenet.depth.grid import DepthGrid
from odenet.errors import ConfigError
from odenet.integrators import Integrator


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


AS_TRAINED = Discretisation()
"""The block's own integrator and steps."""
