"""A diffrax solve of every interval of the grid."""

import dataclasses
from collections.abc import Callable
from typing import Any

import diffrax
import jax.numpy as jnp

from odenet.arrays import Count, Scalar, State, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.backward_count import open_counter
from odenet.integrators.base import Advance, Field, Integration, OneStepIntegrator, SolverStats
from odenet.integrators.continuous.controllers import StepControl
from odenet.integrators.continuous.first_stage import FirstStageAtStart
from odenet.integrators.continuous.halves import joined, separated
from odenet.integrators.continuous.solvers import (
    Coefficients,
    coefficients,
    evaluations,
    refuse_large_equation,
)
from odenet.integrators.dense_path import integrate_densely
from odenet.integrators.failure import Failure
from odenet.integrators.first_step import first_step
from odenet.integrators.shared_control import RMSWithoutLast, batch_rms


@dataclasses.dataclass(frozen=True)
class Diffrax(OneStepIntegrator):
    r"""A diffrax solve of every interval of the grid.

    An interval is normalised to $s \in [0, 1]$, $dh/ds = \tau f(t_0 + s\tau, h)$, so that `tau`
    may have any sign and any size, and steps end where layers end. With fixed steps the intervals
    are the steps of the grid, one solver step each. With adaptive steps they are the layers: the
    solver chooses its own steps inside the stretch of depth on which the weights stay the same.

    States of a path inside a layer come from the dense output of its one solve, a polynomial on
    every step of the solver; its error is not controlled.

    Args:
        solver: A diffrax solver.
        controller: A PID controller whose norm covers the whole batch, or None for fixed steps.
        adjoint: How diffrax differentiates the solve.
        max_steps: Largest number of solver steps in one interval, rejected ones included.
        first_step: First step that an adaptive solver tries, as a part of its interval; None
            chooses it from the field (see `first_step`) by one evaluation.
        norm: Of scaled errors over the whole batch, for that choice.
    """

    solver: diffrax.AbstractSolver
    controller: StepControl | None
    adjoint: diffrax.AbstractAdjoint = dataclasses.field(hash=False)  # backsolve holds a dict
    max_steps: int
    first_step: float | None = 1.0
    norm: Callable[[Any], Scalar] = batch_rms

    @property
    def moves_halves(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the solver moves two halves of the state in turn, which the field must have."""
        return isinstance(self.solver, diffrax.SemiImplicitEuler)

    @property
    def carries_integrals(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether integrals may be carried along with the state: not beside halves."""
        return not self.moves_halves

    @property
    def counts_backward(self) -> bool:
        """Whether a gradient is another solve, whose evaluations are counted: with backsolve."""
        return isinstance(self.adjoint, diffrax.BacksolveAdjoint)

    @property
    def forward_mode_instead(self) -> str | None:
        """What has forward-mode derivatives: states that are stored."""
        has_one = isinstance(self.adjoint, diffrax.DirectAdjoint)
        return None if has_one else "adjoint.kind=direct"

    def leaving_out(self, count: int) -> "Diffrax":
        """The same for states that are vectors, whose last `count` components choose no step."""
        if self.controller is None:
            return self
        controller = self.controller.leaving_out(count)
        return dataclasses.replace(self, controller=controller, norm=RMSWithoutLast(count))

    def intervals(self, grid: DepthGrid) -> DepthGrid:
        """The steps of the grid if steps are fixed, its layers if they are adaptive."""
        return grid if self.controller is None else grid.per_layer()

    def over_grid(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """One solve for every interval; states at grid points inside it by dense output."""
        if self.controller is None or not save_path or grid.steps_per_layer == 1:
            return super().over_grid(fields, grid, h0, save_path=save_path)
        return integrate_densely(self._solve, fields, grid, h0)

    @property
    def coefficients(self) -> Coefficients | None:
        """The solver as a Runge-Kutta method, or None if it is none."""
        return coefficients(self.solver)

    def advance(self, field: Field, t0: Time, tau: Time, h0: State) -> Advance:
        """Advance `h0` to `t0 + tau`; `stats.failure` says why it stopped on the way."""
        path, stats = self._solve(field, t0, tau, h0, None)
        return Advance(path[-1], stats)

    def _solve(
        self, field: Field, t0: Time, tau: Time, h0: State, parts: Any
    ) -> tuple[Any, SolverStats]:
        """States at the `parts` in [0, 1] of an interval and at its end, or at its end alone."""
        refuse_large_equation(self.solver, h0.shape)

        # `field` carries its parameters as leaves: what backsolve differentiates must be in args.
        def normalised(s, h, args):
            field, t0, tau, *_ = args
            return tau * field(t0 + s * tau, h)

        zero, one = jnp.zeros((), h0.dtype), jnp.ones((), h0.dtype)
        counter = open_counter() if self.counts_backward else ()
        args = (field, t0, tau, *(number.astype(h0.dtype) for number in counter))
        dt0, first_stage = self._start(lambda s, h: normalised(s, h, args), h0)
        terms, y0 = diffrax.ODETerm(normalised), h0
        if self.moves_halves:
            terms, y0 = separated(normalised, h0)
        solution = diffrax.diffeqsolve(
            terms,
            self.solver,
            t0=zero,
            t1=one,
            dt0=dt0,
            y0=y0,
            args=args,
            stepsize_controller=self.controller or diffrax.ConstantStepSize(),
            saveat=diffrax.SaveAt(t1=True, ts=parts),
            adjoint=self.adjoint,
            max_steps=self.max_steps,
            throw=False,
            solver_state=None if first_stage is None else (jnp.zeros((), bool), first_stage),
        )
        assert solution.ys is not None
        stats = solution.stats
        path = joined(solution.ys) if self.moves_halves else solution.ys
        return path, SolverStats.of(
            self._nfe(stats["num_steps"]),
            stats["num_accepted_steps"],
            stats["num_rejected_steps"],
            _failure(solution.result),
        )

    def _start(self, field: Field, h0: State) -> tuple[Scalar, State | None]:
        """The first step, and the first stage where it is known before the solve."""
        if self.first_step is not None:
            return jnp.asarray(self.first_step, h0.dtype), None
        assert self.controller is not None
        zero, control = jnp.zeros((), h0.dtype), self.controller
        order = self.solver.error_order(diffrax.ODETerm(lambda t, h, args: h))
        assert isinstance(order, int)
        f0 = field(zero, h0)
        rtol, atol = float(control.rtol), float(control.atol)
        step = first_step(field, zero, h0, f0, order, rtol, atol, self.norm)
        return step, f0 if self._hands_on_first_stage else None

    @property
    def _hands_on_first_stage(self) -> bool:
        """Whether the evaluation that chooses the first step serves as the first stage too."""
        return isinstance(self.solver, FirstStageAtStart) and not self.counts_backward

    def _nfe(self, num_steps):
        """Field evaluations of one solve that tried `num_steps` steps.

        A method whose last stage is the first of the next step saves one evaluation per step and
        makes one more before the first. The choice of the first step takes one, and the slope that
        it starts from another, unless it serves as the first stage too.
        """
        per_step, before = evaluations(self.solver)
        chosen = 0 if self.first_step is not None else 2 - self._hands_on_first_stage
        return num_steps * per_step + before + chosen


def _failure(result: diffrax.RESULTS) -> Count:
    """Why a solve did not arrive; what is not told apart is an equation that was not solved."""
    results = diffrax.RESULTS
    known = {
        Failure.NONE: results.successful,
        Failure.MAX_STEPS: results.max_steps_reached,
        Failure.STEP_TOO_SMALL: results.dt_min_reached,
        Failure.NOT_FINITE: results.nonfinite,
    }
    code = jnp.asarray(int(Failure.EQUATION), jnp.int32)
    for failure, value in known.items():
        code = jnp.where(result == value, int(failure), code)
    return code
