"""`odenet analyse`: instruments that look at a trained network, one subcommand and file each."""

import functools
from collections.abc import Callable
from typing import Any

import typer

from odenet.cli.analyse import (
    basis,
    convergence,
    critical_step,
    effective_depth,
    gradient_audit,
    gradient_flow,
    gradient_scaling,
    seeds,
    stability,
    steps_to_reach,
    trajectories,
)
from odenet.narration import doing

app = typer.Typer(
    help="Look into a trained network: one instrument for each subcommand.", no_args_is_help=True
)


def _measuring(name: str, command: Callable[..., None]) -> Callable[..., None]:
    """A command that says what it measures, until it shows what it found."""

    @functools.wraps(command)
    def told(**options: Any) -> None:
        with doing(f"measuring {name}"):
            command(**options)

    return told


_COMMANDS = {
    "gradient-flow": gradient_flow.command,
    "gradient-scaling": gradient_scaling.command,
    "convergence": convergence.command,
    "critical-step": critical_step.command,
    "gradient-audit": gradient_audit.command,
    "effective-depth": effective_depth.command,
    "stability": stability.command,
    "trajectories": trajectories.command,
    "basis": basis.command,
    "steps-to-reach": steps_to_reach.command,
    "seeds": seeds.command,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_measuring(_name, _command))
