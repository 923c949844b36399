"""Embedded Runge-Kutta methods that choose their steps, with exact gradients step by step."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from pydantic import Field as Option
from pydantic import PositiveFloat, PositiveInt, model_validator

from odenet.arrays import Array, Flag, Float, Scalar, State, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.adaptive_gradient import differentiable
from odenet.integrators.base import Advance, Field, Integration, OneStepIntegrator, SolverStats
from odenet.integrators.break_points import BreakPoints
from odenet.integrators.dense_path import integrate_densely
from odenet.integrators.embedded import EMBEDDED, EmbeddedTableau
from odenet.integrators.equation import FIRST_ORDER, Equation
from odenet.integrators.explicit import combine
from odenet.integrators.failure import Failure, first_failure, verdict_of_step
from odenet.integrators.first_step import first_step
from odenet.integrators.shared_control import RMSWithoutLast, batch_rms
from odenet.integrators.step_limits import LargestStep, refuse_limits
from odenet.part import PartConfig

Start = tuple[State, State]
"""State and slope at the beginning of a step."""

Between = Float[Array, "points batch *state"]
"""States at parts of an interval."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Search:
    """Where the search for steps has come: at `s` in [0, 1], about to try `ds`."""

    s: Time
    ds: Time
    start: Start
    accepted: Scalar | jax.Array
    tried: Scalar | jax.Array
    between: Between | None
    """States at the parts of the interval that were asked for, as far as the search has come."""
    failure: Scalar | jax.Array
    steps: Any
    """`(start, s, ds)` of every accepted step, stacked, or None where nobody will go back."""


@dataclasses.dataclass(frozen=True)
class AdaptiveRungeKutta(OneStepIntegrator):
    r"""An embedded explicit Runge-Kutta method with its own steps inside every layer.

    An interval is normalised to $s \in [0, 1]$, $dh/ds = \tau f(t_0 + s \tau, h)$. A step is
    accepted if the root mean square $e$ over the batch of its estimated error, divided by
    `atol + rtol * max(|h_0|, |h_1|)`, is below 1. The next is longer by $0.9\, e^{-1/p}$, by 10
    at the most, and no shorter after an accepted step; a rejected one is tried again at a fifth of
    its length or more (Hairer, Nørsett and Wanner 1993, eqs. II.4.11 to 4.13). These are the rules
    of diffrax's and torchdiffeq's controllers, so that all three take the same steps.

    The gradient is that of the steps as they were taken (discretise-then-optimise), with their
    sizes held fixed. One state and one slope are kept for every step; the way back recomputes one
    step at a time. There is no forward mode; diffrax's direct adjoint has one.

    Args:
        method: The tableau and its error estimate.
        rtol: Relative tolerance of one step.
        atol: Absolute tolerance of one step.
        first_step: First step that is tried, as a part of the interval; None chooses it from the
            field (see `first_step`) by one evaluation.
        max_steps: Largest number of steps in one interval, rejected ones included.
        min_step: Smallest step, as a part of the interval, or None for what rounding allows.
        max_step: Largest step, as a part of the interval, or None.
        break_points: Depth-times at which a step ends and the next starts anew, in increasing
            order; what lies outside an interval is no concern of it.
        norm: Of scaled errors over the whole batch.
    """

    carries_integrals: ClassVar[bool] = True

    method: EmbeddedTableau
    rtol: float
    atol: float
    first_step: float | None
    max_steps: int
    min_step: float | None = None
    max_step: float | None = None
    break_points: tuple[float, ...] = ()
    norm: Callable[[Any], Scalar] = batch_rms

    def leaving_out(self, count: int) -> "AdaptiveRungeKutta":
        """The same for states that are vectors, whose last `count` components choose no step."""
        return dataclasses.replace(self, norm=RMSWithoutLast(count))

    def intervals(self, grid: DepthGrid) -> DepthGrid:
        """The layers: steps are chosen inside the stretch on which the weights stay the same."""
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
            `Advance`; where the solve did not arrive, `stats.failure` says why and `h1` is the
            state that it had reached.
        """
        states, stats = self._solve(field, t0, tau, h0, None)
        return Advance(states[-1], stats)

    def _solve(
        self, field: Field, t0: Time, tau: Time, h0: State, parts: Any
    ) -> tuple[Any, SolverStats]:
        """States at the `parts` in [0, 1] of an interval and at its end, or at its end alone."""
        # What the field has captured of an outer differentiation must be an argument of the rule.
        apply, captured = jax.closure_convert(lambda field, t, h: field(t, h), field, t0, h0)

        def slope(arguments, s, h):
            field, captured, t0, tau = arguments
            return tau * apply(field, t0 + s * tau, h, *captured)

        solve = differentiable(self, slope)
        h1, between, stats = solve((field, captured, t0, tau), parts, h0)
        states = h1[None] if between is None else jnp.concatenate([between, h1[None]])
        return states, stats

    def step(
        self, slope: Callable, start: Start, s: Time, ds: Time, parts: Any
    ) -> tuple[Start, State, Between | None]:
        """One step from `s` to `s + ds`.

        Returns:
            Its end, the estimate of its error, and its dense output at the parts inside it, with
            zeros at all others.
        """
        h0, first = start
        stages, h = [first], h0
        for row, c in zip(self.method.tableau.a[1:], self.method.tableau.c[1:], strict=True):
            h = combine(h0, ds, row, stages)
            stages.append(slope(s + c * ds, h))
        nothing = jnp.zeros_like(h0)
        error = combine(nothing, ds, self.method.error, stages)
        if parts is None:
            return (h, stages[-1]), error, None
        # Hairer, Nørsett and Wanner 1993, sec. II.6: Hermite's cubic, and a quartic term to it.
        column = (-1, *(1,) * h0.ndim)
        theta = jnp.clip((parts - s) / ds, 0, 1).reshape(column)
        rise = h - h0
        left = ds * first - rise
        right = rise - ds * stages[-1] - left
        bend = combine(nothing, ds, self.method.bend, stages)
        inner = left[None] + theta * (right[None] + (1 - theta) * bend[None])
        dense = h0[None] + theta * (rise[None] + (1 - theta) * inner)
        inside = _inside(parts, s, ds).reshape(column)
        return (h, stages[-1]), error, jnp.where(inside, dense, jnp.zeros_like(dense))

    def search(self, slope: Callable, start: Start, parts: Any, keep: bool) -> _Search:
        """Step from 0 to 1, or until `max_steps` steps were tried."""
        h0 = start[0]
        number = jnp.zeros((), h0.dtype)
        zero = jnp.zeros((), jnp.int32)
        one = (start, number, number)
        steps = jax.tree.map(lambda x: jnp.zeros((self.max_steps, *x.shape), x.dtype), one)
        between = None if parts is None else jnp.zeros((*parts.shape, *h0.shape), h0.dtype)
        ds = self._first(slope, start)
        first = _Search(number, ds, start, zero, zero, between, zero, steps if keep else None)

        def unfinished(now: _Search) -> Flag:
            return (now.s < 1) & (now.tried < self.max_steps) & (now.failure == 0)

        def advance(now: _Search) -> _Search:
            is_last = now.s + now.ds >= 1
            ds = jnp.where(is_last, 1 - now.s, now.ds)
            end, error, dense = self.step(slope, now.start, now.s, ds, parts)
            ratio = self._error_ratio(error, now.start[0], end[0])
            accept = ratio < 1
            steps, between = now.steps, now.between
            if keep:  # a step that is tried again takes the place of the one before
                steps = jax.tree.map(
                    lambda all_, x: jax.lax.dynamic_update_index_in_dim(all_, x, now.accepted, 0),
                    steps,
                    (now.start, now.s, ds),
                )
            if dense is not None and between is not None:
                between = jnp.where(accept, between + dense, between)
            following = ds * self._growth(ratio, accept)
            s = jnp.where(is_last, jnp.ones_like(now.s), now.s + ds)
            return _Search(
                jnp.where(accept, s, now.s),
                following,
                jax.tree.map(lambda new, old: jnp.where(accept, new, old), end, now.start),
                now.accepted + accept.astype(jnp.int32),
                now.tried + 1,
                between,
                verdict_of_step(following, accept, ratio, self.min_step),
                steps,
            )

        return jax.lax.while_loop(unfinished, advance, first)

    def _first(self, slope: Callable, start: Start) -> Time:
        zero, order = jnp.zeros((), start[0].dtype), self.method.tableau.order
        if self.first_step is not None:
            return zero + self.first_step
        assert order is not None
        return first_step(slope, zero, *start, order, self.rtol, self.atol, self.norm)

    def _error_ratio(self, error: State, h0: State, h1: State) -> Scalar:
        return self.norm(error / (self.atol + self.rtol * jnp.maximum(jnp.abs(h0), jnp.abs(h1))))

    def _growth(self, ratio: Scalar, accept: Flag) -> Scalar:
        """The next step over this one; a step that gave no number is tried again at its fifth."""
        order = self.method.tableau.order
        assert order is not None
        ratio = jnp.where(jnp.isfinite(ratio), ratio, jnp.inf)
        least = jnp.where(accept, 1.0, 0.2).astype(ratio.dtype)
        return jnp.clip(0.9 * ratio ** (-1 / order), least, 10.0).astype(ratio.dtype)

    def stats(self, found: _Search) -> SolverStats:
        """What the search cost: its first slopes, and all stages but the first of every step."""
        nfe = 1 + (self.first_step is None) + found.tried * (self.method.tableau.num_stages - 1)
        unfinished = jnp.where(found.s >= 1, int(Failure.NONE), int(Failure.MAX_STEPS))
        failure = first_failure(found.failure, unfinished)
        return SolverStats.of(nfe, found.accepted, found.tried - found.accepted, failure)


def _inside(parts: Any, s: Time, ds: Time) -> Any:
    """Which parts belong to the step from `s`: each to one, 0 to the first and 1 to the last."""
    return ((parts > s) | (s == 0)) & ((parts <= s + ds) | (s + ds >= 1))


class AdaptiveConfig(PartConfig):
    """An embedded Runge-Kutta method that chooses its own steps, with exact gradients."""

    kind: Literal["dopri5", "bosh3"] = "dopri5"
    rtol: PositiveFloat = 1e-3
    """Relative tolerance of one step, in the root mean square over the batch."""
    atol: PositiveFloat = 1e-3
    """Absolute tolerance of one step."""
    first_step: Annotated[float, Option(gt=0, le=1)] | Literal["auto"] = "auto"
    """First step that is tried, as a part of the interval, or `auto`, which chooses it from the
    field by one more evaluation (Hairer, Nørsett and Wanner 1993, p. 169)."""
    max_steps: PositiveInt = 64
    """Largest number of steps in one interval, rejected ones included; a solve that needs more has
    failed. Training keeps two states for each."""
    min_step: Annotated[float, Option(gt=0, lt=1)] | None = None
    """Smallest step, as a part of the interval: a solve whose step must be shortened below it has
    failed. Without it, what rounding lets time move."""
    max_step: LargestStep | None = None
    """Largest step, as a part of the interval. Without it, what the field does for a short time
    between the stages of a long step is not seen."""
    break_points: BreakPoints = ()
    """Depth-times at which the field jumps: a step ends there, and the next starts anew."""

    @model_validator(mode="after")
    def _steps_fit_their_limits(self):
        first = 1.0 if self.first_step == "auto" else self.first_step
        refuse_limits(first, self.min_step, self.max_step)
        return self

    equation: ClassVar[Equation] = FIRST_ORDER

    @property
    def chooses_steps(self) -> bool:
        """Whether the integrator chooses its own steps and leaves those of the grid alone."""
        return True

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
