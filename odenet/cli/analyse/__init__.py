"""`odenet analyse`: instruments that look at a trained network, one subcommand and file each."""

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


@app.callback()
def measure(context: typer.Context) -> None:
    """Look into a trained network: one instrument for each subcommand."""
    if context.invoked_subcommand is not None:
        context.with_resource(doing(f"measuring {context.invoked_subcommand}"))


app.command("gradient-flow")(gradient_flow.command)
app.command("gradient-scaling")(gradient_scaling.command)
app.command("convergence")(convergence.command)
app.command("critical-step")(critical_step.command)
app.command("gradient-audit")(gradient_audit.command)
app.command("effective-depth")(effective_depth.command)
app.command("stability")(stability.command)
app.command("trajectories")(trajectories.command)
app.command("basis")(basis.command)
app.command("steps-to-reach")(steps_to_reach.command)
app.command("seeds")(seeds.command)
