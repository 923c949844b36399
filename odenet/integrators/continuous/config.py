"""Continuous depth by a diffrax solver: its options, and which of them fit together."""

from typing import ClassVar, Literal

from pydantic import PositiveInt, model_validator

from odenet.integrators.config import IntegratorConfig
from odenet.integrators.continuous.adjoints import (
    AdjointConfig,
    BacksolveAdjointConfig,
    CheckpointedAdjointConfig,
)
from odenet.integrators.continuous.controllers import ControllerConfig, PIDControllerConfig
from odenet.integrators.continuous.integrator import Diffrax
from odenet.integrators.continuous.solvers import (
    IMPLICIT,
    NO_ERROR_ESTIMATE,
    SYMPLECTIC,
    WITH_MEMORY,
    RootFinderConfig,
    SolverName,
    build_solver,
)
from odenet.integrators.equation import FIRST_ORDER, Equation


class DiffraxConfig(IntegratorConfig):
    """Continuous depth: a diffrax solver."""

    kind: Literal["diffrax"] = "diffrax"
    solver: SolverName = "tsit5"
    """`implicit_euler` and `kvaerno3` to `5` are implicit, for stiff fields and small states;
    `reversible_heun` needs steps of its own (controller.kind=pid); `semi_implicit_euler` is
    symplectic, for fields of two halves, with the steps of the grid (controller.kind=constant)."""
    root_finder: RootFinderConfig | None = None
    """How an implicit solver solves its equations."""
    controller: ControllerConfig = PIDControllerConfig()
    adjoint: AdjointConfig = CheckpointedAdjointConfig()
    max_steps: PositiveInt | None = None
    """Largest number of solver steps in one interval, for adaptive steps; a solve that needs more
    has failed. Without it, 256."""

    equation: ClassVar[Equation] = FIRST_ORDER

    @property
    def chooses_steps(self) -> bool:
        """Whether the integrator chooses its own steps and leaves those of the grid alone."""
        return self.controller.kind == "pid"

    @property
    def moves_halves(self) -> bool:
        """Whether the solver moves two halves of the state in turn, which the field must have."""
        return self.solver in SYMPLECTIC

    @property
    def break_points(self) -> tuple[float, ...]:
        """Depth-times at which steps end, since the field jumps there."""
        return self.controller.step_ends

    @model_validator(mode="after")
    def _controllable(self):
        pid = self.controller.kind == "pid"
        if self.solver in NO_ERROR_ESTIMATE and pid:
            raise ValueError(
                f"solver={self.solver} has no error estimate, so controller.kind=pid cannot steer "
                f"it; use controller.kind=constant, or a solver such as heun or tsit5"
            )
        if self.solver in WITH_MEMORY and not pid:
            raise ValueError(
                f"solver={self.solver} starts anew in every interval, and with the fixed steps of "
                f"controller.kind=constant, one for each, it would be heun; use solver=heun, or "
                f"controller.kind=pid"
            )
        if isinstance(self.adjoint, BacksolveAdjointConfig) and self.adjoint.seminorm and not pid:
            raise ValueError(
                "adjoint.seminorm says how steps backwards are chosen, and controller.kind="
                "constant chooses none; remove seminorm, or use controller.kind=pid"
            )
        if self.moves_halves and isinstance(self.adjoint, BacksolveAdjointConfig):
            raise ValueError(
                f"solver={self.solver} moves two halves of the state in turn, and the adjoint "
                f"equation of adjoint.kind=backsolve has no such halves; use "
                f"adjoint.kind=checkpointed or direct"
            )
        if self.break_points and isinstance(self.adjoint, BacksolveAdjointConfig):
            raise ValueError(
                f"the solve backwards of adjoint.kind=backsolve would step over the jumps of the "
                f"field at controller.break_points={list(self.break_points)}; use "
                f"adjoint.kind=checkpointed or direct"
            )
        if self.solver not in IMPLICIT and self.root_finder is not None:
            raise ValueError(
                f"solver={self.solver} is not implicit: it has no equations to solve and would "
                f"ignore root_finder; remove it, or use one of {', '.join(sorted(IMPLICIT))}"
            )
        if self.controller.kind == "constant" and self.max_steps is not None:
            raise ValueError(
                "controller.kind=constant takes one solver step per step of the grid and would "
                "ignore max_steps; remove max_steps"
            )
        return self

    def build(self) -> Diffrax:
        """Make the integrator."""
        controller, first_step, rtol, atol = self.controller.build(), 1.0, None, None
        if isinstance(self.controller, PIDControllerConfig):
            rtol, atol, chosen = (
                self.controller.rtol,
                self.controller.atol,
                self.controller.first_step,
            )
            first_step = None if chosen == "auto" else chosen
        return Diffrax(
            build_solver(
                self.solver,
                self.root_finder,
                rtol,
                atol,
                differentiated_again=self.adjoint.kind == "direct",
            ),
            controller,
            self.adjoint.build(self.controller),
            1 if controller is None else self.max_steps or 256,
            first_step,
            self.break_points,
        )
