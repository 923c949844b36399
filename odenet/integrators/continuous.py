"""Continuous depth: diffrax solvers. The only file that imports diffrax."""

import dataclasses
from typing import Annotated, Any, ClassVar, Literal

import diffrax
import jax.numpy as jnp
from pydantic import Field as Option
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from odenet.arrays import Scalar, State, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.base import Advance, Field, Integration, OneStepIntegrator, SolverStats
from odenet.integrators.dense_path import integrate_densely
from odenet.integrators.equation import FIRST_ORDER, Equation
from odenet.integrators.first_step import first_step
from odenet.integrators.shared_control import batch_rms
from odenet.part import PartConfig

SolverName = Literal["euler", "midpoint", "heun", "ralston", "bosh3", "tsit5", "dopri5", "dopri8"]


class _FirstStageAtStart:
    """A method whose last stage is the first of the next step, with its very first stage done once.

    diffrax alone would evaluate that stage again at every step rejected before one is accepted.
    """

    def init(self, terms, t0, t1, y0, args):
        del t1
        return jnp.zeros((), bool), self.func(terms, t0, y0, args)  # pyright: ignore


class _Bosh3(_FirstStageAtStart, diffrax.Bosh3): ...


class _Tsit5(_FirstStageAtStart, diffrax.Tsit5): ...


class _Dopri5(_FirstStageAtStart, diffrax.Dopri5): ...


class _Dopri8(_FirstStageAtStart, diffrax.Dopri8): ...


_SOLVERS = {
    "euler": diffrax.Euler,
    "midpoint": diffrax.Midpoint,
    "heun": diffrax.Heun,
    "ralston": diffrax.Ralston,
    "bosh3": _Bosh3,
    "tsit5": _Tsit5,
    "dopri5": _Dopri5,
    "dopri8": _Dopri8,
}


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
    """

    solver: diffrax.AbstractSolver
    controller: diffrax.PIDController | None
    adjoint: diffrax.AbstractAdjoint = dataclasses.field(hash=False)  # backsolve holds a dict
    max_steps: int
    first_step: float | None = 1.0

    def intervals(self, grid: DepthGrid) -> DepthGrid:
        """The steps of the grid if steps are fixed, its layers if they are adaptive."""
        return grid if self.controller is None else grid.per_layer()

    def integrate(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """One solve for every interval; states at grid points inside it by dense output."""
        if self.controller is None or not save_path or grid.steps_per_layer == 1:
            return super().integrate(fields, grid, h0, save_path=save_path)
        return integrate_densely(self._solve, fields, grid, h0)

    def advance(self, field: Field, t0: Time, tau: Time, h0: State) -> Advance:
        """Advance `h0` to `t0 + tau`; where steps run out, `stats.success` is false."""
        path, stats = self._solve(field, t0, tau, h0, None)
        return Advance(path[-1], stats)

    def _solve(
        self, field: Field, t0: Time, tau: Time, h0: State, parts: Any
    ) -> tuple[Any, SolverStats]:
        """States at the `parts` in [0, 1] of an interval and at its end, or at its end alone."""

        # `field` carries its parameters as leaves: what backsolve differentiates must be in args.
        def normalised(s, h, args):
            field, t0, tau = args
            return tau * field(t0 + s * tau, h)

        zero, one = jnp.zeros((), h0.dtype), jnp.ones((), h0.dtype)
        args = (field, t0, tau)
        dt0, first_stage = self._start(lambda s, h: normalised(s, h, args), h0)
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(normalised),
            self.solver,
            t0=zero,
            t1=one,
            dt0=dt0,
            y0=h0,
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
        return solution.ys, SolverStats.of(
            self._nfe(stats["num_steps"]),
            stats["num_accepted_steps"],
            stats["num_rejected_steps"],
            solution.result == diffrax.RESULTS.successful,
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
        step = first_step(field, zero, h0, f0, order, rtol, atol, batch_rms)
        return step, f0 if self._hands_on_first_stage else None

    @property
    def _hands_on_first_stage(self) -> bool:
        """Whether the evaluation that chooses the first step serves as the first stage too."""
        backsolve = isinstance(self.adjoint, diffrax.BacksolveAdjoint)
        return isinstance(self.solver, _FirstStageAtStart) and not backsolve

    def _nfe(self, num_steps):
        """Field evaluations of one solve that tried `num_steps` steps.

        A method whose last stage is the first of the next step saves one evaluation per step and
        spends one at the start.
        """
        tableau = getattr(self.solver, "tableau", None)
        stages, fsal = (1, 0) if tableau is None else (tableau.num_stages, int(tableau.fsal))
        chosen = 0 if self.first_step is not None else 2 - self._hands_on_first_stage
        return num_steps * (stages - fsal) + fsal + chosen


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

    def build(self) -> diffrax.PIDController:
        """Make the controller."""
        return diffrax.PIDController(
            rtol=self.rtol,
            atol=self.atol,
            pcoeff=self.pcoeff,
            icoeff=self.icoeff,
            dcoeff=self.dcoeff,
            norm=batch_rms,
        )


class ConstantControllerConfig(PartConfig):
    """Fixed steps: the solver takes the steps of the grid."""

    kind: Literal["constant"] = "constant"

    def build(self) -> None:
        """There is nothing to control."""


class CheckpointedAdjointConfig(PartConfig):
    """Exact gradients by recomputing from checkpoints (discretise-then-optimise)."""

    kind: Literal["checkpointed"] = "checkpointed"
    checkpoints: PositiveInt | None = None
    """Number of states to keep; without it, diffrax's choice from `max_steps`."""

    def build(self, controller: diffrax.PIDController | None) -> diffrax.AbstractAdjoint:
        """Make the adjoint."""
        del controller
        return diffrax.RecursiveCheckpointAdjoint(self.checkpoints)


class DirectAdjointConfig(PartConfig):
    """Exact gradients by storing every step; allows forward mode; slow for large `max_steps`."""

    kind: Literal["direct"] = "direct"

    def build(self, controller: diffrax.PIDController | None) -> diffrax.AbstractAdjoint:
        """Make the adjoint."""
        del controller
        return diffrax.DirectAdjoint()


class BacksolveAdjointConfig(PartConfig):
    """Approximate gradients by the adjoint equation backwards (optimise-then-discretise).

    Chen et al. 2018, eqs. 4 and 5. Memory does not grow with the number of steps; the gradient
    carries the error of a second solve.
    """

    kind: Literal["backsolve"] = "backsolve"

    def build(self, controller: diffrax.PIDController | None) -> diffrax.AbstractAdjoint:
        """Make the adjoint, with the same step-size control on the way back."""
        if controller is None:
            return diffrax.BacksolveAdjoint()
        # On the way back the state is a tree of several arrays; diffrax's own norm covers it.
        plain = diffrax.PIDController(rtol=controller.rtol, atol=controller.atol)
        return diffrax.BacksolveAdjoint(stepsize_controller=plain)


class DiffraxConfig(PartConfig):
    """Continuous depth: a diffrax solver."""

    kind: Literal["diffrax"] = "diffrax"
    solver: SolverName = "tsit5"
    controller: Annotated[
        PIDControllerConfig | ConstantControllerConfig, Option(discriminator="kind")
    ] = PIDControllerConfig()
    adjoint: Annotated[
        CheckpointedAdjointConfig | DirectAdjointConfig | BacksolveAdjointConfig,
        Option(discriminator="kind"),
    ] = CheckpointedAdjointConfig()
    max_steps: PositiveInt | None = None
    """Largest number of solver steps in one interval, for adaptive steps; a solve that needs more
    has failed. Without it, 256."""

    equation: ClassVar[Equation] = FIRST_ORDER

    @property
    def chooses_steps(self) -> bool:
        """Whether the integrator chooses its own steps and leaves those of the grid alone."""
        return self.controller.kind == "pid"

    @model_validator(mode="after")
    def _controllable(self):
        if self.solver == "euler" and self.controller.kind == "pid":
            raise ValueError(
                "solver=euler has no error estimate, so controller.kind=pid cannot steer it; "
                "use controller.kind=constant, or a solver such as heun or tsit5"
            )
        if self.controller.kind == "constant" and self.max_steps is not None:
            raise ValueError(
                "controller.kind=constant takes one solver step per step of the grid and would "
                "ignore max_steps; remove max_steps"
            )
        return self

    def build(self) -> Diffrax:
        """Make the integrator."""
        controller, first_step = self.controller.build(), 1.0
        if isinstance(self.controller, PIDControllerConfig):
            chosen = self.controller.first_step
            first_step = None if chosen == "auto" else chosen
        return Diffrax(
            _SOLVERS[self.solver](),
            controller,
            self.adjoint.build(controller),
            1 if controller is None else self.max_steps or 256,
            first_step,
        )
