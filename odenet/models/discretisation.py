"""The discretisation of a trained network: integrator and number of steps."""

import dataclasses
from fractions import Fraction

from odenet.depth.grid import DepthGrid
from odenet.errors import ConfigError
from odenet.integrators import Integrator


@dataclasses.dataclass(frozen=True)
class Discretisation:
    """The discretisation of a trained block: integrator and number of steps.

    Args:
        integrator: The integrator, or None for the block's own.
        step_factor: Number of steps, as a multiple of the block's own: 2 halves every step, 1/2
            merges pairs of steps. It has no effect on an adaptive integrator.
    """

    integrator: Integrator | None = None
    step_factor: Fraction = Fraction(1)

    def steps_of(self, grid: DepthGrid) -> DepthGrid:
        """The grid with `step_factor` times its number of steps.

        Raises:
            ConfigError: if the number of steps is not an integer, or does not fit the layers.
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
