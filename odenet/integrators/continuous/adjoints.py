"""How a diffrax solve is differentiated."""

from typing import Literal

import diffrax
from pydantic import PositiveInt

from odenet.part import PartConfig


class CheckpointedAdjointConfig(PartConfig):
    """Exact gradients by recomputing from checkpoints (discretise-then-optimise)."""

    kind: Literal["checkpointed"] = "checkpointed"
    checkpoints: PositiveInt | None = None
    """Number of states to keep; without it, diffrax's choice from `max_steps`."""

    def build(self, controller: diffrax.PIDController | None) -> diffrax.AbstractAdjoint:
        """Make the adjoint."""
        del controller
        return diffrax.RecursiveCheckpointAdjoint(self.checkpoints)


class DirectAdjointConfig(PartConfig):
    """Exact gradients by storing every step; allows forward mode; slow for large `max_steps`."""

    kind: Literal["direct"] = "direct"

    def build(self, controller: diffrax.PIDController | None) -> diffrax.AbstractAdjoint:
        """Make the adjoint."""
        del controller
        return diffrax.DirectAdjoint()


class BacksolveAdjointConfig(PartConfig):
    """Approximate gradients by the adjoint equation backwards (optimise-then-discretise).

    Chen et al. 2018, eqs. 4 and 5. Memory does not grow with the number of steps; the gradient
    carries the error of a second solve.
    """

    kind: Literal["backsolve"] = "backsolve"

    def build(self, controller: diffrax.PIDController | None) -> diffrax.AbstractAdjoint:
        """Make the adjoint, with the same step-size control on the way back."""
        if controller is None:
            return diffrax.BacksolveAdjoint()
        # On the way back the state is a tree of several arrays; diffrax's own norm covers it.
        plain = diffrax.PIDController(rtol=controller.rtol, atol=controller.atol)
        return diffrax.BacksolveAdjoint(stepsize_controller=plain)
