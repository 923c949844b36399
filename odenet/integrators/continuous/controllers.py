"""Step-size controllers of a diffrax solver."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, cast

import diffrax
import jax
import jax.numpy as jnp
from pydantic import Field as Option
from pydantic import NonNegativeFloat, PositiveFloat, model_validator

from odenet.arrays import Scalar, Time
from odenet.integrators.break_points import BreakPoints
from odenet.integrators.continuous.problem import PRECISION
from odenet.integrators.failure import (
    Failure,
    failure_of_precision,
    verdict_of_step,
)
from odenet.integrators.shared_control import RMSWithoutLast, batch_rms
from odenet.integrators.step_limits import LargestStep, refuse_limits
from odenet.part import PartConfig


@dataclasses.dataclass(frozen=True)
class _NeverNaN:
    """An error norm that makes the controller shorten a step whose error is NaN."""

    norm: Callable[[Any], Scalar]

    def __call__(self, error: Any) -> Scalar:
        size = self.norm(error)
        return jnp.where(jnp.isfinite(size), size, jnp.inf)


class StepControl(diffrax.PIDController):
    """diffrax's controller, which also reports a step that cannot be shortened, with the reason.

    Args:
        min_step: Smallest step, as a fraction of the interval, or None for the limit by rounding.
        rounding: Largest relative error of a rounded state, or 0 to ignore rounding.
        is_complex: Whether states are complex, as pairs of real numbers along axis 1.
        options: Options of diffrax's controller.
    """

    min_step: float | None = None
    rounding: float = 0.0
    is_complex: bool = False

    def __init__(
        self,
        min_step: float | None,
        rounding: float = 0.0,
        is_complex: bool = False,
        **options: Any,
    ):
        super().__init__(**options)
        self.min_step, self.rounding, self.is_complex = min_step, rounding, is_complex

    def without_quadrature(self, count: int) -> "StepControl":
        """This controller for vector states; the last `count` components do not affect steps."""
        return self._changed(norm=_NeverNaN(RMSWithoutLast(count)))

    def for_states(self, rounding: float, is_complex: bool) -> "StepControl":
        """This controller for states of another precision and kind."""
        return self._changed(rounding=rounding, is_complex=is_complex)

    def _changed(self, **changes: Any) -> "StepControl":
        kept = ("min_step", "rounding", "is_complex", "rtol", "atol", "norm", "dtmax")
        kept += ("pcoeff", "icoeff", "dcoeff")
        return StepControl(**({name: getattr(self, name) for name in kept} | changes))

    def limited(self, step: Time) -> Time:
        """A step that is at least the smallest one; diffrax enforces the largest."""
        return step if self.min_step is None else jnp.maximum(step, self.min_step)

    def adapt_step_size(
        self, t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state
    ):
        """The decision of diffrax's controller, and a failure for one that cannot be shortened."""
        states: Any = (y0, y1_candidate, y_error)
        if self.is_complex:
            states = tuple(jnp.hypot(h[:, 0], h[:, 1]) for h in states)
        y0, y1, y_error = jax.lax.stop_gradient(states)  # steps are constants to every derivative
        given = (t0, t1, y0, y1, args, y_error, error_order, controller_state)
        keep, start, end, jump, state, result = super().adapt_step_size(*given)
        following, accepted = jnp.asarray(end - start), jnp.asarray(keep)
        # A step that had to end early is no reason against longer ones.
        following = jnp.where(accepted, self.limited(following), following)
        why = verdict_of_step(following, accepted, jnp.asarray(self.norm(y_error)), self.min_step)
        results: Any = diffrax.RESULTS
        small, broken = (why == int(x) for x in (Failure.STEP_TOO_SMALL, Failure.NOT_FINITE))
        # Finite states with errors that are not finite come from equations that were not solved.
        unsolved = broken & jnp.isfinite(batch_rms(y1))
        result = results.where(small, results.dt_min_reached, result)
        result = results.where(broken, results.nonfinite, result)
        result = results.where(unsolved, results.nonlinear_max_steps_reached, result)
        if self.rounding:
            rtol, atol, norm = float(self.rtol), float(self.atol), cast(Any, self.norm)
            kept = jnp.where(accepted, y1, y0)
            imprecise = failure_of_precision(kept, rtol, atol, self.rounding, norm) > 0
            result = results.where(imprecise, PRECISION, result)
        return keep, start, start + following, jump, state, result


class ControllerConfig(PartConfig, abc.ABC, family="controller"):
    """Options of a step-size controller; `build` makes it.

    Attributes:
        chooses_steps: Whether steps are chosen by their error, instead of those of the grid.
    """

    kind: str

    chooses_steps: ClassVar[bool] = False

    @property
    def step_ends(self) -> tuple[float, ...]:
        """Depth-times of jumps of the field, at which steps end."""
        return ()

    @property
    def tolerances(self) -> tuple[float, float] | tuple[None, None]:
        """Relative and absolute tolerance of one step, or None twice for fixed steps."""
        return None, None

    @property
    def first(self) -> float | None:
        """First step tried, as a fraction of the interval; None chooses it from the field."""
        return 1.0

    @abc.abstractmethod
    def build(self, norm: Callable[[Any], Scalar] = batch_rms) -> StepControl | None:
        """Make the controller, or None for fixed steps.

        Args:
            norm: Norm of the scaled error; a step is accepted below 1.
        """


class PIDControllerConfig(ControllerConfig):
    """Adaptive steps: a PID controller of the estimated error (Söderlind 2003)."""

    chooses_steps: ClassVar[bool] = True

    kind: Literal["pid"] = "pid"
    rtol: PositiveFloat = 1e-3
    """Relative tolerance of one step, in the root mean square over the batch."""
    atol: PositiveFloat = 1e-3
    """Absolute tolerance of one step."""
    pcoeff: NonNegativeFloat = 0.0
    icoeff: PositiveFloat = 1.0
    dcoeff: NonNegativeFloat = 0.0
    first_step: Annotated[float, Option(gt=0, le=1)] | Literal["auto"] = "auto"
    """First step tried, as a fraction of the interval (a layer's), or `auto`,
    which chooses it from the field by one more evaluation (Hairer, Nørsett and Wanner 1993,
    p. 169)."""
    min_step: Annotated[float, Option(gt=0, lt=1)] | None = None
    """Smallest step, as a fraction of the interval: a solve whose step must be shortened below it
    has failed. Without it, the smallest step by which time changes in floating point."""
    max_step: LargestStep | None = None
    """Largest step, as a fraction of the interval. Without it, a short change of the field between
    the stages of a long step may be missed."""
    break_points: BreakPoints = ()
    """Depth-times at which the field jumps: a step ends there, and the method restarts."""

    @model_validator(mode="after")
    def _steps_fit_their_limits(self):
        first = 1.0 if self.first_step == "auto" else self.first_step
        refuse_limits(first, self.min_step, self.max_step)
        return self

    @property
    def step_ends(self) -> tuple[float, ...]:
        """Depth-times at which steps end: the break points."""
        return self.break_points

    @property
    def tolerances(self) -> tuple[float, float]:
        """Relative and absolute tolerance of one step."""
        return self.rtol, self.atol

    @property
    def first(self) -> float | None:
        """First step tried, as a fraction of the interval; None chooses it from the field."""
        return None if self.first_step == "auto" else self.first_step

    def build(self, norm: Callable[[Any], Scalar] = batch_rms) -> StepControl:
        """Make the controller.

        Args:
            norm: Norm of the scaled error; a step is accepted below 1.
        """
        return StepControl(
            self.min_step,
            rtol=self.rtol,
            atol=self.atol,
            pcoeff=self.pcoeff,
            icoeff=self.icoeff,
            dcoeff=self.dcoeff,
            dtmax=self.max_step,
            norm=_NeverNaN(norm),
        )


class ConstantControllerConfig(ControllerConfig):
    """Fixed steps: the solver takes the steps of the grid."""

    kind: Literal["constant"] = "constant"

    def build(self, norm: Callable[[Any], Scalar] = batch_rms) -> None:
        """None: fixed steps have no controller."""
        del norm
