"""Embedded Runge-Kutta methods that choose their steps, with exact gradients step by step."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from pydantic import Field as Option
from pydantic import PositiveFloat, PositiveInt

from odenet.arrays import Flag, Scalar, State, Time
from odenet.depth.grid import DepthGrid
from odenet.integrators.base import Advance, Field, OneStepIntegrator, SolverStats
from odenet.integrators.explicit import Tableau, combine
from odenet.integrators.first_step import first_step
from odenet.integrators.shared_control import batch_rms
from odenet.part import PartConfig

Start = tuple[State, State]
"""State and slope at the beginning of a step."""


@dataclasses.dataclass(frozen=True)
class EmbeddedTableau:
    """An explicit method whose last stage is the first of the next step, and its error estimate.

    Args:
        tableau: The method; its last stage is evaluated at the end of the step.
        error: Weights of the stages in the error estimate, summing to 0.
    """

    tableau: Tableau
    error: tuple[float, ...]


def _embedded(a: Any, error: tuple[float, ...], order: int) -> EmbeddedTableau:
    times = tuple(float(sum(row)) for row in a)
    return EmbeddedTableau(Tableau(a, (*a[-1], 0.0), times, order), error)


EMBEDDED: dict[str, EmbeddedTableau] = {
    # Bogacki and Shampine 1989, order 3 with an estimate of order 2.
    "bosh3": _embedded(
        ((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
        (2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
        3,
    ),
    # Dormand and Prince 1980 with the estimate of Shampine 1986, two thirds of theirs.
    "dopri5": _embedded(
        (
            (),
            (1 / 5,),
            (3 / 40, 9 / 40),
            (44 / 45, -56 / 15, 32 / 9),
            (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
            (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
            (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
        ),
        (
            35 / 384 - 1951 / 21600,
            0.0,
            500 / 1113 - 22642 / 50085,
            125 / 192 - 451 / 720,
            -2187 / 6784 + 12231 / 42400,
            11 / 84 - 649 / 6300,
            -1 / 60,
        ),
        5,
    ),
}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Search:
    """Where the search for steps has come: at `s` in [0, 1], about to try `ds`."""

    s: Time
    ds: Time
    start: Start
    accepted: Scalar | jax.Array
    tried: Scalar | jax.Array
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
    """

    method: EmbeddedTableau
    rtol: float
    atol: float
    first_step: float | None
    max_steps: int

    def intervals(self, grid: DepthGrid) -> DepthGrid:
        """The layers: steps are chosen inside the stretch on which the weights stay the same."""
        return grid.per_layer()

    def advance(self, field: Field, t0: Time, tau: Time, h0: State) -> Advance:
        """Advance `h0` from depth-time `t0` to `t0 + tau`.

        Returns:
            `Advance`; where the solve ran out of steps, `stats.success` is false and `h1` is the
            state that it had reached.
        """
        # What the field has captured of an outer differentiation must be an argument of the rule.
        apply, captured = jax.closure_convert(lambda field, t, h: field(t, h), field, t0, h0)

        def slope(arguments, s, h):
            field, captured, t0, tau = arguments
            return tau * apply(field, t0 + s * tau, h, *captured)

        solve = _differentiable(self, slope)
        h1, stats = solve((field, captured, t0, tau), h0)
        return Advance(h1, stats)

    def step(self, slope: Callable, start: Start, s: Time, ds: Time) -> tuple[Start, State]:
        """One step from `s` to `s + ds`: its end, and the estimate of its error."""
        h0, first = start
        stages, h = [first], h0
        for row, c in zip(self.method.tableau.a[1:], self.method.tableau.c[1:], strict=True):
            h = combine(h0, ds, row, stages)
            stages.append(slope(s + c * ds, h))
        return (h, stages[-1]), combine(jnp.zeros_like(h0), ds, self.method.error, stages)

    def search(self, slope: Callable, start: Start, keep: bool) -> _Search:
        """Step from 0 to 1, or until `max_steps` steps were tried."""
        number = jnp.zeros((), start[0].dtype)
        zero = jnp.zeros((), jnp.int32)
        one = (start, number, number)
        steps = jax.tree.map(lambda x: jnp.zeros((self.max_steps, *x.shape), x.dtype), one)
        ds = self._first(slope, start)
        first = _Search(number, ds, start, zero, zero, steps if keep else None)

        def unfinished(now: _Search) -> Flag:
            return (now.s < 1) & (now.tried < self.max_steps)

        def advance(now: _Search) -> _Search:
            is_last = now.s + now.ds >= 1
            ds = jnp.where(is_last, 1 - now.s, now.ds)
            end, error = self.step(slope, now.start, now.s, ds)
            ratio = self._error_ratio(error, now.start[0], end[0])
            accept = ratio < 1
            steps = now.steps
            if keep:  # a step that is tried again takes the place of the one before
                steps = jax.tree.map(
                    lambda all_, x: jax.lax.dynamic_update_index_in_dim(all_, x, now.accepted, 0),
                    steps,
                    (now.start, now.s, ds),
                )
            s = jnp.where(is_last, jnp.ones_like(now.s), now.s + ds)
            return _Search(
                jnp.where(accept, s, now.s),
                ds * self._growth(ratio, accept),
                jax.tree.map(lambda new, old: jnp.where(accept, new, old), end, now.start),
                now.accepted + accept.astype(jnp.int32),
                now.tried + 1,
                steps,
            )

        return jax.lax.while_loop(unfinished, advance, first)

    def _first(self, slope: Callable, start: Start) -> Time:
        zero, order = jnp.zeros((), start[0].dtype), self.method.tableau.order
        if self.first_step is not None:
            return zero + self.first_step
        assert order is not None
        return first_step(slope, zero, *start, order, self.rtol, self.atol, batch_rms)

    def _error_ratio(self, error: State, h0: State, h1: State) -> Scalar:
        return batch_rms(error / (self.atol + self.rtol * jnp.maximum(jnp.abs(h0), jnp.abs(h1))))

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
        return SolverStats.of(nfe, found.accepted, found.tried - found.accepted, found.s >= 1)


def _differentiable(method: AdaptiveRungeKutta, slope: Callable) -> Callable:
    """`solve(arguments, h0) -> (h1, stats)`, differentiated step by step backwards."""

    def search(arguments, h0, keep):
        def at(s, h):
            return slope(arguments, s, h)

        return method.search(at, (h0, at(jnp.zeros((), h0.dtype), h0)), keep)

    @jax.custom_vjp
    def solve(arguments, h0):
        found = search(arguments, h0, keep=False)
        return found.start[0], method.stats(found)

    def forward(arguments, h0):
        found = search(arguments, h0, keep=True)
        result = found.start[0], method.stats(found)
        return result, (arguments, h0, found.steps, found.accepted)

    def backward(kept, cotangents):
        arguments, h0, steps, accepted = kept
        a_h1, _ = cotangents

        def back(carry):
            index, a_arguments, a_end = carry
            start, s, ds = jax.tree.map(lambda x: x[index], steps)

            def step(arguments, start):
                return method.step(lambda s, h: slope(arguments, s, h), start, s, ds)[0]

            more, a_start = jax.vjp(step, arguments, start)[1](a_end)
            return index - 1, jax.tree.map(jnp.add, a_arguments, more), a_start

        nothing = jax.tree.map(jnp.zeros_like, arguments)
        _, a_arguments, (a_h0, a_slope) = jax.lax.while_loop(
            lambda carry: carry[0] >= 0,
            back,
            (accepted - 1, nothing, (a_h1, jnp.zeros_like(a_h1))),
        )
        zero = jnp.zeros((), h0.dtype)
        _, pull = jax.vjp(lambda arguments, h: slope(arguments, zero, h), arguments, h0)
        more, through_slope = pull(a_slope)
        return jax.tree.map(jnp.add, a_arguments, more), a_h0 + through_slope

    solve.defvjp(forward, backward)
    return solve


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

    equation_order: ClassVar[int] = 1

    @property
    def chooses_steps(self) -> bool:
        """Whether the integrator chooses its own steps and leaves those of the grid alone."""
        return True

    def build(self) -> AdaptiveRungeKutta:
        """Make the integrator."""
        first = None if self.first_step == "auto" else self.first_step
        return AdaptiveRungeKutta(EMBEDDED[self.kind], self.rtol, self.atol, first, self.max_steps)
