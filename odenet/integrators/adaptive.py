"""Adaptive embedded Runge-Kutta methods with exact gradients, step by step."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from pydantic import Field as Option
from pydantic import PositiveFloat, PositiveInt, model_validator

from odenet.arrays import Scalar, State, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.adaptive_gradient import differentiable
from odenet.integrators.base import Advance, Field, Integration, SolverStats
from odenet.integrators.break_points import BreakPoints
from odenet.integrators.config import IntegratorConfig
from odenet.integrators.continuous.config import DiffraxConfig
from odenet.integrators.dense_path import integrate_densely
from odenet.integrators.embedded import EMBEDDED, EmbeddedTableau
from odenet.integrators.embedded_step import Between, Derivative, dense_output, take_step
from odenet.integrators.gradient_methods import EXACT
from odenet.integrators.one_step import OneStepIntegrator
from odenet.integrators.pieces import Pieces, pieces_between
from odenet.integrators.shared_control import RMSWithoutLast, batch_rms
from odenet.integrators.step_limits import LargestStep, refuse_limits
from odenet.integrators.step_search import Found, StepRule


@dataclasses.dataclass(frozen=True)
class AdaptiveRungeKutta(OneStepIntegrator):
    r"""An adaptive embedded explicit Runge-Kutta method with its own steps inside every layer.

    An interval is normalised to $s \in [0, 1]$, $dh/ds = \tau f(t_0 + s \tau, h)$. A step is
    accepted if the root mean square $e$ over the batch of its estimated error, divided by
    `atol + rtol * max(|h_0|, |h_1|)`, is below 1. The next step is longer by the factor
    $0.9\, e^{-1/p}$, at most 10, and no shorter after an accepted step; a rejected step is repeated
    with at least a fifth of its length (Hairer, Nørsett and Wanner 1993, eqs. II.4.11 to 4.13).
    These are the rules of diffrax's and torchdiffeq's controllers: all three take the same steps.

    The gradient is that of the steps as they were taken (discretise-then-optimise), with their
    sizes held fixed; with break points, the sizes relative to the sub-intervals between them. The
    state before every step is kept for up to 64 steps, or up to a mebibyte; for longer solves,
    about `2 sqrt(max_steps)` states are kept, and the backward pass recomputes the others (see
    `StepStore`). There is no forward mode; diffrax's direct adjoint has one.

    Args:
        method: The tableau and its error estimate.
        rtol: Relative tolerance of one step.
        atol: Absolute tolerance of one step.
        first_step: First step tried, as a fraction of the interval; None chooses it from the
            field (see `first_step`) by one evaluation.
        max_steps: Largest number of steps in one interval, rejected ones included.
        min_step: Smallest step, as a fraction of the interval, or None for the limit by rounding.
        max_step: Largest step, as a fraction of the interval, or None.
        break_points: Depth-times at which a step ends and the method restarts, in increasing
            order; those outside an interval are ignored.
        norm: Norm of scaled errors over the whole batch.
        rounding: Largest relative error of a rounded state; tolerances far below it are refused in
            the statistics, by `Failure.PRECISION`.
    """

    chooses_steps: ClassVar[bool] = True
    carries_integrals: ClassVar[bool] = True
    may_fail: ClassVar[bool] = True

    method: EmbeddedTableau
    rtol: float
    atol: float
    first_step: float | None
    max_steps: int
    min_step: float | None = None
    max_step: float | None = None
    break_points: tuple[float, ...] = ()  # pyright: ignore[reportIncompatibleVariableOverride]
    norm: Callable[[Any], Scalar] = batch_rms
    rounding: float = 0.0

    @property
    def name(self) -> str:
        """The kind in experiment files with these coefficients."""
        names = (name for name, tableau in EMBEDDED.items() if tableau == self.method)
        return next(names, type(self).__name__)

    @property
    def forward_mode_instead(self) -> str | None:
        """Options with forward-mode derivatives: the same method of diffrax."""
        return "kind=diffrax with adjoint.kind=direct"

    def without_quadrature(self, count: int) -> "AdaptiveRungeKutta":
        """This method for vector states, with an error norm without the last `count` components."""
        return dataclasses.replace(self, norm=RMSWithoutLast(count))

    def for_states_of(self, dtype: Any) -> "AdaptiveRungeKutta":
        """This method with the rounding error of the state type `dtype`."""
        return dataclasses.replace(self, rounding=float(jnp.finfo(dtype).eps) / 2)

    def intervals(self, grid: DepthGrid) -> DepthGrid:
        """The layers: steps are chosen inside an interval of constant weights."""
        return grid.per_layer()

    def over_grid(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """One solve for every layer; states at grid points inside it by dense output."""
        if not save_path or grid.steps_per_layer == 1:
            return super().over_grid(fields, grid, h0, save_path=save_path)
        return integrate_densely(self._solve, fields, grid, h0)

    def advance(self, field: Field, t0: Time, tau: Time, h0: State) -> Advance:
        """Advance `h0` from depth-time `t0` to `t0 + tau`.

        Returns:
            `Advance`; if the solve did not reach t1, `stats.failure` is the reason and `h1` is the
            last state of the solve.
        """
        states, stats = self._solve(field, t0, tau, h0, None)
        return Advance(states[-1], stats)

    def _solve(
        self, field: Field, t0: Time, tau: Time, h0: State, parts: Any
    ) -> tuple[Any, SolverStats]:
        """States at the fractions `parts` of an interval and at its end, or at its end alone."""
        # Variables of an outer differentiation captured by the field must be arguments of the rule.
        apply, captured = jax.closure_convert(lambda field, t, h: field(t, h), field, t0, h0)

        def derivative(arguments, piece, s, h):
            field, captured, pieces = arguments
            t, rate = pieces.at(piece, s)
            return rate.astype(h.dtype) * apply(field, t, h, *captured)

        pieces = pieces_between(t0, tau, self.break_points)
        solve = differentiable(self, derivative)
        h1, between, stats = solve((field, captured, pieces), parts, h0)
        states = h1[None] if between is None else jnp.concatenate([between, h1[None]])
        return states, stats

    @property
    def rule(self) -> StepRule:
        """The rule for choosing steps."""
        return StepRule(
            self.method,
            self.rtol,
            self.atol,
            self.first_step,
            self.max_steps,
            self.min_step,
            self.max_step,
            self.rounding,
            self.norm,
        )

    def search(
        self, derivative: Callable, pieces: Pieces, h0: State, parts: Any, keep: bool
    ) -> Found:
        """The steps of an interval; see `StepRule.search`."""
        return self.rule.search(derivative, pieces, h0, parts, keep)

    def step(
        self, derivative: Derivative, s: Time, ds: Time, h0: State, parts: Any
    ) -> tuple[State, Between | None]:
        """One step from `s` to `s + ds`, with its dense output at the parts inside it."""
        h1, stages = take_step(self.method, derivative, s, ds, h0, derivative(s, h0))
        if parts is None:
            return h1, None
        stages.append(derivative(s + ds, h1))
        return h1, dense_output(self.method, s, ds, h0, h1, stages, parts)

    def stats(self, found: Found, pieces: Pieces) -> SolverStats:
        """Statistics of a search: its cost, and the depth-time that it reached."""
        rule = self.rule
        t, _ = pieces.at(pieces.index(found.s), found.s)
        reached = jnp.where(found.s >= 1, pieces.t0 + pieces.tau, t)
        rejected = found.tried - found.accepted
        return SolverStats.of(
            rule.nfe(found), found.accepted, rejected, rule.failure(found), reached
        )


class AdaptiveConfig(IntegratorConfig):
    """An adaptive embedded Runge-Kutta method with exact gradients."""

    kind: Literal["dopri5", "bosh3"] = "dopri5"
    rtol: PositiveFloat = 1e-3
    """Relative tolerance of one step, in the root mean square over the batch: an example that is
    harder than the others is solved less accurately than in a batch of its own."""
    atol: PositiveFloat = 1e-3
    """Absolute tolerance of one step."""
    first_step: Annotated[float, Option(gt=0, le=1)] | Literal["auto"] = "auto"
    """First step tried, as a fraction of the interval, or `auto`, which chooses it from the
    field by one more evaluation (Hairer, Nørsett and Wanner 1993, p. 169)."""
    max_steps: PositiveInt = 64
    """Largest number of steps in one interval, rejected ones included; a solve that needs more has
    failed. Training keeps one state per step for up to 64 steps, or up to a mebibyte of states,
    and about `2 sqrt(max_steps)` states for longer solves."""
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

    def gradient_methods(self, *, is_step: bool, learns_steps: bool) -> dict[str, IntegratorConfig]:
        """Its own gradient method, and those of the same method of diffrax."""
        tolerances = {"rtol": self.rtol, "atol": self.atol}
        options = {"first_step": self.first_step, "min_step": self.min_step}
        options |= {"max_step": self.max_step, "break_points": self.break_points}
        same = DiffraxConfig.model_validate(
            {"solver": self.kind, "controller": {"kind": "pid", **tolerances, **options},
             "max_steps": self.max_steps}
        )  # fmt: skip
        others = same.gradient_methods(is_step=is_step, learns_steps=learns_steps)
        named = {f"diffrax, {name}": other for name, other in others.items() if name != EXACT}
        return {EXACT: self, **named}

    def build(self) -> AdaptiveRungeKutta:
        """Make the integrator."""
        first = None if self.first_step == "auto" else self.first_step
        tolerances = (self.rtol, self.atol)
        return AdaptiveRungeKutta(
            EMBEDDED[self.kind],
            *tolerances,
            first,
            self.max_steps,
            self.min_step,
            self.max_step,
            self.break_points,
        )
