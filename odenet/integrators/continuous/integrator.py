"""A diffrax solve of every interval of the grid."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import jax
import jax.numpy as jnp

from odenet.arrays import Count, Scalar, State, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.errors import StateTypeError
from odenet.integrators.amplification import Amplification, RungeKuttaAmplification
from odenet.integrators.backward_count import open_counter
from odenet.integrators.base import Advance, Field, Integration, SolverStats, StepMap
from odenet.integrators.continuous.controllers import StepControl
from odenet.integrators.continuous.derivatives import differentiated_once
from odenet.integrators.continuous.first_stage import FirstStageAtStart
from odenet.integrators.continuous.partitioned import joined, separated
from odenet.integrators.continuous.problem import (
    Problem,
    failure_of,
    moved_along,
    normalised_problem,
    quiet_about_complex_weights,
    states_reached,
)
from odenet.integrators.continuous.solvers import (
    coefficients,
    evaluations,
    name_of,
    refuse_large_equation,
)
from odenet.integrators.dense_path import integrate_densely
from odenet.integrators.failure import failure_of_precision, failure_of_state, first_failure
from odenet.integrators.first_step import first_step
from odenet.integrators.one_step import OneStepIntegrator
from odenet.integrators.pieces import pieces_between
from odenet.integrators.separable import SeparableMethod
from odenet.integrators.shared_control import RMSWithoutLast, batch_rms
from odenet.integrators.stability_function import StabilityFunction


@dataclasses.dataclass(frozen=True)
class Diffrax(OneStepIntegrator):
    r"""A diffrax solve of every interval of the grid.

    An interval is normalised to $s \in [0, 1]$, $dh/ds = \tau f(t_0 + s\tau, h)$, so that `tau`
    may have any sign and any size, and steps end where layers end. With fixed steps the intervals
    are the steps of the grid, one solver step each. With adaptive steps they are the layers: the
    solver chooses its own steps inside an interval of constant weights.

    States of a path inside a layer come from the dense output of its one solve, a polynomial on
    every step of the solver; its error is not controlled.

    Args:
        solver: A diffrax solver.
        controller: A PID controller whose norm covers the whole batch, or None for fixed steps.
        adjoint: diffrax's gradient method for the solve.
        max_steps: Largest number of solver steps in one interval, rejected ones included.
        break_points: Depth-times at which a step ends and the method restarts, in increasing
            order; those outside an interval are ignored.
        first_step: First step tried by an adaptive solver, as a fraction of its interval; None
            chooses it from the field (see `first_step`) by one evaluation.
        rounding: Largest relative error of a rounded state; adaptive steps with tolerances far
            below it end with `Failure.PRECISION`.
        norm: Norm of scaled errors over the whole batch, for the choice of the first step.
    """

    may_fail: ClassVar[bool] = True

    solver: diffrax.AbstractSolver
    controller: StepControl | None
    adjoint: diffrax.AbstractAdjoint = dataclasses.field(hash=False)  # backsolve holds a dict
    max_steps: int
    first_step: float | None = 1.0
    break_points: tuple[float, ...] = ()  # pyright: ignore[reportIncompatibleVariableOverride]
    rounding: float = 0.0
    norm: Callable[[Any], Scalar] = batch_rms

    @property
    def name(self) -> str:
        """The name of the solver, after `diffrax`."""
        return f"diffrax {name_of(self.solver)}"

    @property
    def choice(self) -> str:
        """The options of this integrator in an experiment file, as written in messages."""
        return f"kind=diffrax with solver={name_of(self.solver)}"

    @property
    def chooses_steps(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether a controller chooses the steps."""
        return self.controller is not None

    @property
    def is_partitioned(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the solver is a partitioned method: the symplectic one of diffrax."""
        return isinstance(self.solver, diffrax.SemiImplicitEuler)

    @property
    def carries_integrals(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether path integrals may be integrated with the state: not with a partitioned one."""
        return not self.is_partitioned

    @property
    def counts_backward(self) -> bool:
        """Whether the gradient is another solve, whose evaluations are counted: with backsolve."""
        return isinstance(self.adjoint, diffrax.BacksolveAdjoint)

    @property
    def forward_mode_instead(self) -> str | None:
        """Options with forward-mode derivatives: stored states."""
        has_one = isinstance(self.adjoint, diffrax.DirectAdjoint)
        return None if has_one else "adjoint.kind=direct"

    def without_quadrature(self, count: int) -> "Diffrax":
        """This integrator for vector states; the last `count` components do not affect steps."""
        if self.controller is None:
            return self
        controller = self.controller.without_quadrature(count)
        return dataclasses.replace(self, controller=controller, norm=RMSWithoutLast(count))

    def for_states_of(self, dtype: Any) -> "Diffrax":
        """This integrator with the rounding error of the state type `dtype`."""
        return dataclasses.replace(self, rounding=float(jnp.finfo(dtype).eps) / 2)

    def intervals(self, grid: DepthGrid) -> DepthGrid:
        """The steps of the grid if steps are fixed, its layers if they are adaptive."""
        return grid if self.controller is None else grid.per_layer()

    def over_grid(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """One solve for every interval; states at grid points inside it by dense output.

        Raises:
            StateTypeError: if weights are complex with backsolve, whose adjoint equation is real.
        """
        if self.counts_backward and any(map(jnp.iscomplexobj, jax.tree.leaves(fields.params))):
            raise StateTypeError(
                "adjoint.kind=backsolve takes complex states, but only real weights; got weights "
                "of complex numbers; use adjoint.kind=checkpointed or direct, or keep real and "
                "imaginary parts as two arrays"
            )
        if self.controller is None or not save_path or grid.steps_per_layer == 1:
            return super().over_grid(fields, grid, h0, save_path=save_path)
        return integrate_densely(self._solve, fields, grid, h0)

    def step_map(self) -> StepMap:
        """`advance`, differentiated through its steps for every adjoint."""
        fixed = self.controller is None
        adjoint = diffrax.DirectAdjoint() if fixed else diffrax.RecursiveCheckpointAdjoint()
        exact = dataclasses.replace(self, adjoint=adjoint)
        return lambda field, t0, tau, h0: exact.advance(field, t0, tau, h0).h1

    def amplification(self, grid: DepthGrid) -> Amplification | str:
        """The stability function of a Runge-Kutta method with the steps of the grid."""
        known = coefficients(self.solver)
        if self.chooses_steps or (known is None and not self.is_partitioned):
            return super().amplification(grid)
        if known is None:
            return SeparableMethod(kind="symplectic_euler").amplification(grid)
        return RungeKuttaAmplification(StabilityFunction.of(*known))

    def advance(self, field: Field, t0: Time, tau: Time, h0: State) -> Advance:
        """Advance `h0` to `t0 + tau`.

        Returns:
            `Advance`; if the solve did not reach t1, `stats.failure` is the reason and `h1` is the
            last state of the solve.
        """
        path, stats = self._solve(field, t0, tau, h0, None)
        return Advance(path[-1], stats)

    def _solve(
        self, field: Field, t0: Time, tau: Time, h0: State, parts: Any
    ) -> tuple[Any, SolverStats]:
        """States at the fractions `parts` of an interval and at its end, or at its end alone.

        If the solve did not reach t1, the state at the end is the last state of the solve, and the
        states at later parts are NaN.
        """
        refuse_large_equation(self.solver, h0.shape)
        problem = normalised_problem(field, pieces_between(t0, tau, self.break_points), h0)
        if self.forward_mode_instead is not None:
            problem, parts = differentiated_once((problem, parts))
        counter = open_counter() if self.counts_backward else ()
        number = problem.pieces.tau.dtype
        args = (*problem.args, *(count.astype(number) for count in counter))
        dt0, first_stage, hopeless = self._start(
            lambda s, h: problem.derivative(s, h, args), problem
        )
        # A solve that cannot succeed ends at its start: nothing may raise in compiled code.
        t1 = jnp.where(hopeless > 0, 0, 1).astype(number)
        derivative: Any = problem.derivative
        terms, y0 = diffrax.ODETerm(derivative), problem.y0
        if self.is_partitioned:
            terms, y0 = separated(problem.derivative, y0)
        # The adjoint equation has no derivative with respect to the times of requested states.
        asked = jax.lax.stop_gradient(parts) if self.counts_backward else parts
        with quiet_about_complex_weights():
            solution = diffrax.diffeqsolve(
                terms,
                self.solver,
                t0=jnp.zeros_like(t1),
                t1=t1,
                dt0=dt0,
                y0=y0,
                args=args,
                stepsize_controller=self._control(problem),
                saveat=diffrax.SaveAt(t1=True, ts=None if parts is None else asked * t1),
                adjoint=self.adjoint,
                max_steps=self.max_steps,
                throw=False,
                solver_state=None if first_stage is None else (jnp.zeros((), bool), first_stage),
            )
        ys: Any = solution.ys
        ys = joined(ys) if self.is_partitioned else ys
        assert solution.ts is not None
        failure = first_failure(hopeless, failure_of(solution.result))
        s, end, between = states_reached(solution.ts, ys, asked)
        if between is not None and self.counts_backward:
            between = moved_along(between, lambda s, h: problem.derivative(s, h, args), parts)
        states = end[None] if between is None else jnp.concatenate([between, end[None]])
        s = jnp.where((failure > 0) & (self.controller is None), 0, s).astype(s.dtype)
        stats, jumps = solution.stats, problem.pieces.passed(s)
        return problem.states(states), SolverStats.of(
            self._nfe(stats["num_steps"], jumps),
            stats["num_accepted_steps"],
            stats["num_rejected_steps"],
            failure,
            problem.pieces.time_at(s),
        )

    def _control(self, problem: Problem) -> diffrax.AbstractStepSizeController:
        if self.controller is None:
            return diffrax.ConstantStepSize()
        control = self.controller.for_states(self.rounding, problem.is_complex)
        ends = problem.pieces.ends[1:-1]
        if not ends.size:
            return control
        return diffrax.ClipStepSizeController(control, jump_ts=jnp.where(ends > 0, ends, 2))

    def _start(
        self, derivative: Callable, problem: Problem
    ) -> tuple[Scalar, State | None, Count | int]:
        """The first step, the first stage if it is known before the solve, and a failure."""
        h0, control = problem.y0, self.controller
        zero = jnp.zeros_like(problem.pieces.tau)
        if control is None:
            return jnp.ones_like(zero), None, jnp.zeros((), jnp.int32)
        rtol, atol = float(control.rtol), float(control.atol)
        hands_on = self._hands_on_first_stage
        f0 = derivative(zero, h0) if hands_on or self.first_step is None else None
        known = (h0,) if f0 is None else (h0, f0)
        norm = problem.norm(self.norm)
        hopeless = first_failure(
            failure_of_state(*known), failure_of_precision(h0, rtol, atol, self.rounding, norm)
        )
        if self.first_step is not None:
            step = zero + self.first_step
        else:
            order = self.solver.error_order(diffrax.ODETerm(lambda t, h, args: h))
            assert isinstance(order, int)
            assert f0 is not None
            step = first_step(derivative, zero, h0, f0, order, rtol, atol, norm)
        return control.limited(step), f0 if hands_on else None, hopeless

    @property
    def _hands_on_first_stage(self) -> bool:
        """Whether the initial derivative, which is checked to be finite, is the first stage."""
        return isinstance(self.solver, FirstStageAtStart) and not self.counts_backward

    def _nfe(self, num_steps, jumps):
        """Field evaluations of one solve that tried `num_steps` steps.

        An FSAL method (first same as last) saves one evaluation per step and makes one more before
        the first, and after every break point. The choice of the first step takes one, and the
        initial derivative another, unless it is the first stage too.
        """
        per_step, before = evaluations(self.solver)
        chosen = 0 if self.first_step is not None else 2 - self._hands_on_first_stage
        return num_steps * per_step + before * (1 + jumps) + chosen
