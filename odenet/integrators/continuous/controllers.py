"""How a diffrax solver chooses its steps."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import diffrax
from pydantic import Field as Option
from pydantic import NonNegativeFloat, PositiveFloat

from odenet.arrays import Scalar
from odenet.integrators.shared_control import batch_rms
from odenet.part import PartConfig


class PIDControllerConfig(PartConfig):
    """Adaptive steps: a PID controller of the estimated error (Söderlind 2003)."""

    kind: Literal["pid"] = "pid"
    rtol: PositiveFloat = 1e-3
    """Relative tolerance of one step, in the root mean square over the batch."""
    atol: PositiveFloat = 1e-3
    """Absolute tolerance of one step."""
    pcoeff: NonNegativeFloat = 0.0
    icoeff: PositiveFloat = 1.0
    dcoeff: NonNegativeFloat = 0.0
    first_step: Annotated[float, Option(gt=0, le=1)] | Literal["auto"] = "auto"
    """First step that is tried, as a part of the interval (a layer's stretch of depth), or `auto`,
    which chooses it from the field by one more evaluation (Hairer, Nørsett and Wanner 1993,
    p. 169)."""

    def build(self, norm: Callable[[Any], Scalar] = batch_rms) -> diffrax.PIDController:
        """Make the controller.

        Args:
            norm: Of the scaled error; below 1, a step is accepted.
        """
        return diffrax.PIDController(
            rtol=self.rtol,
            atol=self.atol,
            pcoeff=self.pcoeff,
            icoeff=self.icoeff,
            dcoeff=self.dcoeff,
            norm=norm,
        )


class ConstantControllerConfig(PartConfig):
    """Fixed steps: the solver takes the steps of the grid."""

    kind: Literal["constant"] = "constant"

    def build(self) -> None:
        """There is nothing to control."""
