"""Layers that are no steps of a method, applied one after the other."""

import dataclasses
from typing import ClassVar

from odenet.arrays import State, Time
from odenet.integrators.base import Advance, Field, SolverStats
from odenet.integrators.one_step import OneStepIntegrator
from odenet.integrators.remat import Remat


@dataclasses.dataclass(frozen=True)
class LayerByLayer(OneStepIntegrator):
    r"""$h_1 = g(\tau, h_0)$, with $g$ what a layer does as a whole.

    The original residual unit is such a layer: ReLU acts on the sum of state and branch too, so
    that no vector field has it as a step (He et al. 2016, arXiv:1603.05027, fig. 4a).

    Args:
        remat: What is stored for the backward pass.
    """

    remat: Remat = "none"
    carries_statistics: ClassVar[bool] = True

    def advance(self, field: Field, t0: Time, tau: Time, h0: State) -> Advance:
        """Apply one layer; `field(tau, h)` gives the next state in place of a derivative."""
        del t0
        return Advance(field(tau, h0), SolverStats.of(1, 1))
