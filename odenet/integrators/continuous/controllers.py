"""How a diffrax solver chooses its steps."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Literal

import diffrax
import jax.numpy as jnp
from pydantic import Field as Option
from pydantic import NonNegativeFloat, PositiveFloat

from odenet.arrays import Scalar
from odenet.integrators.failure import Failure, verdict_of_step
from odenet.integrators.shared_control import RMSWithoutLast, batch_rms
from odenet.part import PartConfig


@dataclasses.dataclass(frozen=True)
class _NeverNaN:
    """A norm of errors that makes the controller shorten a step whose error is not a number."""

    norm: Callable[[Any], Scalar]

    def __call__(self, error: Any) -> Scalar:
        size = self.norm(error)
        return jnp.where(jnp.isfinite(size), size, jnp.inf)


class StepControl(diffrax.PIDController):
    """diffrax's, which says too when a step cannot be shortened any more, and why.

    Args:
        min_step: Smallest step, as a part of the interval, or None for what rounding allows.
        options: Those of diffrax's controller.
    """

    min_step: float | None = None

    def __init__(self, min_step: float | None, **options: Any):
        super().__init__(**options)
        self.min_step = min_step

    def leaving_out(self, count: int) -> "StepControl":
        """The same for states that are vectors, whose last `count` components choose no step."""
        kept = ("rtol", "atol", "pcoeff", "icoeff", "dcoeff")
        options = {name: getattr(self, name) for name in kept}
        return StepControl(self.min_step, norm=_NeverNaN(RMSWithoutLast(count)), **options)

    def adapt_step_size(
        self, t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state
    ):
        """What diffrax's controller decides, and a result for a step that is stuck."""
        given = (t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state)
        keep, start, end, jump, state, result = super().adapt_step_size(*given)
        following, accepted = jnp.asarray(end - start), jnp.asarray(keep)
        why = verdict_of_step(following, accepted, jnp.asarray(self.norm(y_error)), self.min_step)
        results: Any = diffrax.RESULTS
        small, broken = (why == int(x) for x in (Failure.STEP_TOO_SMALL, Failure.NOT_FINITE))
        result = results.where(small, results.dt_min_reached, result)
        result = results.where(broken, results.nonfinite, result)
        return keep, start, end, jump, state, result


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
    min_step: Annotated[float, Option(gt=0, lt=1)] | None = None
    """Smallest step, as a part of the interval: a solve whose step must be shortened below it has
    failed. Without it, what rounding lets time move."""

    def build(self, norm: Callable[[Any], Scalar] = batch_rms) -> StepControl:
        """Make the controller.

        Args:
            norm: Of the scaled error; below 1, a step is accepted.
        """
        return StepControl(
            self.min_step,
            rtol=self.rtol,
            atol=self.atol,
            pcoeff=self.pcoeff,
            icoeff=self.icoeff,
            dcoeff=self.dcoeff,
            norm=_NeverNaN(norm),
        )


class ConstantControllerConfig(PartConfig):
    """Fixed steps: the solver takes the steps of the grid."""

    kind: Literal["constant"] = "constant"

    def build(self) -> None:
        """There is nothing to control."""
