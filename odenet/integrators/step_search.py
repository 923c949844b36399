"""The search for steps, each as long as the tolerances allow."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from odenet.arrays import Count, Flag, Scalar, State, Time
from odenet.integrators.embedded import EmbeddedTableau
from odenet.integrators.embedded_step import Between, dense_output, error_estimate, take_step
from odenet.integrators.failure import (
    Failure,
    failure_of_precision,
    failure_of_state,
    first_failure,
    verdict_of_step,
)
from odenet.integrators.first_step import first_step
from odenet.integrators.pieces import Pieces
from odenet.integrators.step_store import StepStore


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Found:
    """The state of the search: at `s` in [0, 1], before a trial of `ds`.

    Attributes:
        s: The completed fraction of the interval.
        ds: Length of the next step.
        h: State at `s`.
        first: Derivative at `s`.
        accepted: Number of accepted steps.
        tried: Number of steps tried.
        restarts: Number of break points passed.
        between: States at the requested parts of the interval, as far as they are reached.
        failure: Reason why the search ended before 1, a `Failure`, or 0.
        steps: The accepted steps, or None without a backward pass.
    """

    s: Time
    ds: Time
    h: State
    first: State
    accepted: Count
    tried: Count
    restarts: Count
    between: Between | None
    failure: Count
    steps: StepStore | None


@dataclasses.dataclass(frozen=True)
class StepRule:
    """The rule for choosing steps; see the options of `AdaptiveRungeKutta`.

    Args:
        method: The tableau and its error estimate.
        rtol: Relative tolerance of one step.
        atol: Absolute tolerance of one step.
        first_step: First step tried, or None.
        max_steps: Largest number of steps, rejected ones included.
        min_step: Smallest step, or None.
        max_step: Largest step, or None.
        rounding: Largest relative error of a rounded state.
        norm: Norm of scaled errors over the whole batch.
    """

    method: EmbeddedTableau
    rtol: float
    atol: float
    first_step: float | None
    max_steps: int
    min_step: float | None
    max_step: float | None
    rounding: float
    norm: Callable[[Any], Scalar]

    @property
    def order(self) -> int:
        """Order of the method."""
        order = self.method.tableau.order
        assert order is not None
        return order

    def search(
        self, derivative: Callable, pieces: Pieces, h0: State, parts: Any, keep: bool
    ) -> Found:
        """Step from 0 to 1, or until `max_steps` steps were tried, or until one has failed.

        Args:
            derivative: `derivative(piece, s, h)`.
            pieces: The interval.
            h0: State at 0.
            parts: Fractions of the interval at which states are requested, or None.
            keep: Whether the steps are kept for the backward pass.
        """
        zero, none = jnp.zeros((), pieces.t0.dtype), jnp.zeros((), jnp.int32)
        start = pieces.index(zero)
        first = derivative(start, zero, h0)
        ds = self._first(lambda s, h: derivative(start, s, h), zero, h0, first)
        failure = first_failure(failure_of_state(h0, first), self._imprecise(h0))
        between = None if parts is None else jnp.zeros((*parts.shape, *h0.shape), h0.dtype)
        steps = StepStore.empty(self.max_steps, h0, zero) if keep else None
        begin = Found(zero, ds, h0, first, none, none, none, between, failure, steps)

        def unfinished(now: Found) -> Flag:
            return (now.s < 1) & (now.tried < self.max_steps) & (now.failure == 0)

        def advance(now: Found) -> Found:
            return self._advance(derivative, pieces, parts, now)

        found = jax.lax.while_loop(unfinished, advance, begin)
        if found.between is None or parts is None:
            return found
        behind = (parts <= found.s).reshape(-1, *(1,) * h0.ndim)
        return dataclasses.replace(found, between=jnp.where(behind, found.between, jnp.nan))

    def _advance(self, derivative: Callable, pieces: Pieces, parts: Any, now: Found) -> Found:
        """Try one step."""
        piece, end = pieces.index(now.s), pieces.end(now.s)
        is_cut = now.s + now.ds >= end
        ds = jnp.where(is_cut, end - now.s, now.ds)
        h1, stages = take_step(
            self.method, lambda s, h: derivative(piece, s, h), now.s, ds, now.h, now.first
        )
        last = derivative(piece, now.s + ds, h1)
        stages.append(last)
        ratio = self._error_ratio(error_estimate(self.method, ds, stages), now.h, h1)
        accept = ratio < 1
        steps, between = now.steps, now.between
        if steps is not None:  # a repeated step overwrites the rejected one
            steps = steps.with_step(now.accepted, now.s, ds, now.h)
        if between is not None:
            dense = dense_output(self.method, now.s, ds, now.h, h1, stages, parts)
            between = jnp.where(accept, between + dense, between)
        following = self._following(ds, ratio, accept)
        # A step that had to end here is no reason against longer ones.
        following = jnp.where(accept & is_cut, jnp.maximum(following, now.ds), following)
        s = jnp.where(accept, jnp.where(is_cut, end, now.s + ds), now.s)
        h = jnp.where(accept, h1, now.h)
        restarts = now.restarts
        first = jnp.where(accept, last, now.first)
        if not pieces.is_whole:
            restart = accept & is_cut & (s < 1)
            first = jax.lax.cond(restart, lambda: derivative(pieces.index(s), s, h), lambda: first)
            restarts = restarts + restart.astype(jnp.int32)
        verdict = verdict_of_step(following, accept, ratio, self.min_step)
        return Found(
            s,
            following,
            h,
            first,
            now.accepted + accept.astype(jnp.int32),
            now.tried + 1,
            restarts,
            between,
            first_failure(verdict, self._imprecise(h)),
            steps,
        )

    def _first(self, derivative: Callable, zero: Time, h0: State, first: State) -> Time:
        if self.first_step is not None:
            ds = zero + self.first_step
        else:
            ds = first_step(
                derivative, zero, h0, first, self.order, self.rtol, self.atol, self.norm
            )
        return self._limited(ds)

    def _following(self, ds: Time, ratio: Scalar, accept: Flag) -> Time:
        """The next step; a fifth of the last one if its error was not finite."""
        ratio = jnp.where(jnp.isfinite(ratio), ratio, jnp.inf)
        least = jnp.where(accept, 1.0, 0.2).astype(ratio.dtype)
        growth = jnp.clip(0.9 * ratio ** (-1 / self.order), least, 10.0)
        following = ds * growth.astype(ds.dtype)
        return jnp.where(accept, self._limited(following), following)

    def _limited(self, ds: Time) -> Time:
        """The step, limited to the range from the smallest to the largest."""
        ds = ds if self.min_step is None else jnp.maximum(ds, self.min_step)
        return ds if self.max_step is None else jnp.minimum(ds, self.max_step)

    def _error_ratio(self, error: State, h0: State, h1: State) -> Scalar:
        """The norm of the scaled error; steps are constants to every derivative."""
        error, h0, h1 = jax.lax.stop_gradient((error, h0, h1))
        scale = self.atol + self.rtol * jnp.maximum(jnp.abs(h0), jnp.abs(h1))
        return self.norm(jnp.abs(error) / scale)

    def _imprecise(self, h: State) -> Count:
        return failure_of_precision(h, self.rtol, self.atol, self.rounding, self.norm)

    def nfe(self, found: Found) -> Count:
        """Evaluations: the initial derivatives, and all stages but the first of every step."""
        chosen = 1 + (self.first_step is None)
        return chosen + found.restarts + found.tried * (self.method.tableau.num_stages - 1)

    def failure(self, found: Found) -> Count:
        """Reason why the search ended before 1, or 0."""
        unfinished = jnp.where(found.s >= 1, int(Failure.NONE), int(Failure.MAX_STEPS))
        return first_failure(found.failure, unfinished).astype(jnp.int32)
