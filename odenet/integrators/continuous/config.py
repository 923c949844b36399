"""Options of continuous depth by a diffrax solver, and their compatibility."""

from typing import Literal

from pydantic import PositiveInt, model_validator

from odenet.integrators.config import IntegratorConfig
from odenet.integrators.continuous.adjoints import (
    AdjointConfig,
    BacksolveAdjointConfig,
    CheckpointedAdjointConfig,
    DirectAdjointConfig,
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
from odenet.integrators.gradient_methods import BACKSOLVE, EXACT


class DiffraxConfig(IntegratorConfig):
    """Continuous depth by a diffrax solver."""

    kind: Literal["diffrax"] = "diffrax"
    solver: SolverName = "tsit5"
    """`implicit_euler` and `kvaerno3` to `5` are implicit, for stiff fields and small states;
    `reversible_heun` needs adaptive steps (controller.kind=pid); `semi_implicit_euler` is
    symplectic, for partitioned fields, with the steps of the grid (controller.kind=constant)."""
    root_finder: RootFinderConfig | None = None
    """The root finder of an implicit solver."""
    controller: ControllerConfig = PIDControllerConfig()
    adjoint: AdjointConfig = CheckpointedAdjointConfig()
    max_steps: PositiveInt | None = None
    """Largest number of solver steps in one interval, for adaptive steps; a solve that needs more
    has failed. Without it, 256."""

    @model_validator(mode="after")
    def _controllable(self):
        pid, break_points = self.controller.chooses_steps, self.controller.step_ends
        if self.solver in NO_ERROR_ESTIMATE and pid:
            raise ValueError(
                f"solver={self.solver} has no error estimate, so controller.kind=pid cannot steer "
                f"it; use controller.kind=constant, or a solver such as heun or tsit5"
            )
        if self.solver in WITH_MEMORY and not pid:
            raise ValueError(
                f"solver={self.solver} restarts in every interval, and with the fixed steps of "
                f"controller.kind=constant, one each, it would be heun; use solver=heun, or "
                f"controller.kind=pid"
            )
        if self.adjoint.chooses_norm and not pid:
            raise ValueError(
                "adjoint.seminorm sets the norm that chooses backward steps, and controller.kind="
                "constant chooses none; remove seminorm, or use controller.kind=pid"
            )
        if self.solver in SYMPLECTIC and self.adjoint.solves_backwards:
            raise ValueError(
                f"solver={self.solver} is a partitioned method, and the adjoint equation of "
                f"adjoint.kind=backsolve is not partitioned; use "
                f"adjoint.kind=checkpointed or direct"
            )
        if break_points and self.adjoint.solves_backwards:
            raise ValueError(
                f"the backward solve of adjoint.kind=backsolve would step over the jumps of the "
                f"field at controller.break_points={list(break_points)}; use "
                f"adjoint.kind=checkpointed or direct"
            )
        if self.solver not in IMPLICIT and self.root_finder is not None:
            raise ValueError(
                f"solver={self.solver} is not implicit: it has no equations to solve and would "
                f"ignore root_finder; remove it, or use one of {', '.join(sorted(IMPLICIT))}"
            )
        if not pid and self.max_steps is not None:
            raise ValueError(
                "controller.kind=constant takes one solver step per step of the grid and would "
                "ignore max_steps; remove max_steps"
            )
        return self

    def build(self) -> Diffrax:
        """Make the integrator."""
        controller, again = self.controller, self.adjoint.has_second_derivatives
        rtol, atol = controller.tolerances
        solver = build_solver(self.solver, self.root_finder, rtol, atol, differentiated_again=again)
        return Diffrax(
            solver,
            controller.build(),
            self.adjoint.build(controller),
            (self.max_steps or 256) if controller.chooses_steps else 1,
            controller.first,
            controller.step_ends,
        )

    def gradient_methods(self, *, is_step: bool, learns_steps: bool) -> dict[str, IntegratorConfig]:
        """Every adjoint that is compatible with the solver and its steps."""
        del is_step, learns_steps
        methods: dict[str, IntegratorConfig] = {}
        for name, adjoint in _ADJOINTS.items():
            if adjoint.chooses_norm and not self.controller.chooses_steps:
                continue
            if adjoint.solves_backwards and (
                self.solver in SYMPLECTIC or self.controller.step_ends
            ):
                continue
            methods[name] = self.model_copy(update={"adjoint": adjoint})
        return methods


_ADJOINTS: dict[str, AdjointConfig] = {
    EXACT: DirectAdjointConfig(),
    "checkpointed": CheckpointedAdjointConfig(),
    BACKSOLVE: BacksolveAdjointConfig(),
    "adjoint equation (backsolve, seminorm)": BacksolveAdjointConfig(seminorm=True),
}
"""Gradient methods of diffrax, by name."""
