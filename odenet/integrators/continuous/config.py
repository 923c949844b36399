"""Continuous depth by a diffrax solver: its options, and which of them fit together."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field as Option
from pydantic import PositiveInt, model_validator

from odenet.integrators.continuous.adjoints import (
    BacksolveAdjointConfig,
    CheckpointedAdjointConfig,
    DirectAdjointConfig,
)
from odenet.integrators.continuous.controllers import ConstantControllerConfig, PIDControllerConfig
from odenet.integrators.continuous.integrator import Diffrax
from odenet.integrators.continuous.solvers import SOLVERS, SolverName
from odenet.integrators.equation import Equation
from odenet.part import PartConfig


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

    equation: ClassVar[Equation] = "first_order"

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
            SOLVERS[self.solver](),
            controller,
            self.adjoint.build(controller),
            1 if controller is None else self.max_steps or 256,
            first_step,
        )
