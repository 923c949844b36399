"""Every gradient method for this network: error, time and memory."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from pydantic import field_validator
from rich.table import Table

from odenet.analysis.gradient_audit import (
    Audit,
    differences,
    exact_gradient,
    loss_of,
    measure,
    norm_of,
)
from odenet.errors import ConfigError
from odenet.experiment.loaded_run import Run
from odenet.instruments.base import RunInstrument, normalized
from odenet.integrators import IntegratorConfig
from odenet.integrators.gradient_methods import EXACT, names_of
from odenet.models import BlockConfig
from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Axes, Figure
from odenet.plotting.tables import framed


class GradientAudit(RunInstrument):
    """Every gradient method for a network, compared with the exact gradient."""

    needs: ClassVar[frozenset[str]] = frozenset({"gradients", "differences", "own"})
    rule: ClassVar[str] = "the gradient of the discrete steps, in double precision"
    alt: ClassVar[str] = "Error, time and memory of every gradient method"
    caption: ClassVar[str] = (
        "The exact gradient is that of the discrete steps, in double precision. Methods that "
        "store or recompute the states (discretise-then-optimise) are exact to round-off. "
        "Methods that solve the adjoint equation backwards (optimise-then-discretise) have the "
        "error of that solve."
    )

    kind: Literal["gradient-audit"] = "gradient-audit"
    examples: int = 32
    """Number of examples over which the loss is averaged, in one batch."""
    directions: int = 3
    """Number of random directions of the finite differences."""

    @field_validator("directions")
    @classmethod
    def _has_a_direction(cls, directions: int) -> int:
        if directions < 1:
            raise ValueError(f"finite differences need at least one direction; got {directions}")
        return directions

    def check(self, run: Run) -> None:
        """Refuse a network without a block whose depth is time."""
        if not names_of([block.gradient_methods() for block in run.config.model.blocks]):
            raise ConfigError(
                "gradient methods are compared for blocks of kind depth; this network has none, "
                "and its gradient has one method only"
            )

    def measure(self, run: Run) -> dict[str, Any]:
        """Compare every gradient method for the network with the exact gradient.

        Raises:
            ConfigError: if `examples` is less than 1.
        """
        blocks = run.config.model.blocks
        methods = [block.gradient_methods() for block in blocks]
        names = names_of(methods)
        examples = self.chosen(run, self.examples)
        inputs, targets = normalized(run, examples), jnp.asarray(examples.targets)
        losses = {}
        for name in names:
            chosen = [of_block.get(name, of_block.get(EXACT)) for of_block in methods]
            losses[name] = loss_of(run.network, chosen, run.experiment.objective, targets)
        loss, params = losses[EXACT]
        exact = exact_gradient(loss, params, inputs)
        key = jax.random.key(run.config.seed)
        audit = Audit(
            [measure(name, loss, params, inputs, exact) for name, (loss, params) in losses.items()],
            differences(loss, params, inputs, exact[0], key, self.directions),
            norm_of(exact[0]),
        )
        odes = [block.ode for block in blocks if block.ode is not None]
        return {
            "num_examples": len(examples),
            "own": [_own_name(of, block) for of, block in zip(methods, blocks, strict=True)],
            "chooses_steps": any(ode.integrator.chooses_steps for ode in odes),
            **dataclasses.asdict(audit),
        }

    @staticmethod
    def table(found: Mapping[str, Any]) -> Table:
        """Errors, time and memory of every gradient method."""
        has_steps = any(one["step_sizes_error"] is not None for one in found["gradients"])
        table = framed(f"{found['directory']}: gradients against the exact one")
        table.add_column("gradient method")
        errors = ["weights", *(["tau"] if has_steps else []), "inputs"]
        for heading in (*errors, "time", "compile", "memory"):
            table.add_column(heading, justify="right", no_wrap=True)
        for one in found["gradients"]:
            own = one["name"] in found["own"]
            steps = [wording.error_or_infinite(one["step_sizes_error"])] if has_steps else []
            table.add_row(
                one["name"] + (" (own)" if own else ""),
                wording.error_or_infinite(one["weights_error"]),
                *steps,
                wording.error_or_infinite(one["inputs_error"]),
                wording.seconds(one["seconds"]),
                wording.seconds(one["compile_seconds"]),
                wording.size(one["peak_bytes"]),
                style="bold" if own else "",
            )
        return table

    @staticmethod
    def sentences(found: Mapping[str, Any]) -> list[str]:
        """The definition of the exact gradient, and its distance from finite differences."""
        worst = max(found["differences"])
        lines = [
            "exact: the gradient of the discrete steps, in double precision; the rows are in the "
            "network's own precision",
            f"finite differences along {len(found['differences'])} random directions, in double "
            f"precision, differ from it by up to {wording.error(worst)} (relative)",
        ]
        if found["chooses_steps"]:
            lines.append(
                "the steps of the integrator depend on the parameters: the exact gradient holds "
                "them fixed, finite differences do not, and the loss jumps where their number "
                "changes"
            )
        return lines

    @staticmethod
    @canvas.styled
    def figure(found: Mapping[str, Any]) -> Figure | None:
        """One row for every gradient method, in three panels."""
        if not found:
            return None
        rows = found["gradients"]
        figure = canvas.new_figure(10.0, 1.4 + 0.38 * len(rows))
        errors, times, memory = figure.subplots(1, 3, sharey=True, width_ratios=(1.4, 1, 1))
        _draw_errors(errors, rows)
        _draw_bars(times, rows, "seconds", "time", wording.seconds)
        _draw_bars(memory, rows, "peak_bytes", "memory", wording.size)
        names = [row["name"] + (" (own)" if row["name"] in found["own"] else "") for row in rows]
        canvas.ticks(errors, "y", map(float, range(len(rows))), names)
        errors.invert_yaxis()
        return figure


def _own_name(methods: dict[str, IntegratorConfig], block: BlockConfig) -> str | None:
    """The gradient method that the block itself uses."""
    if block.residual is None:
        return None
    own = block.residual.integrator
    return next((name for name, method in methods.items() if method == own), None)


def _draw_errors(axes: Axes, rows: list[Mapping[str, Any]]) -> None:
    parts = (("weights_error", "weights"), ("step_sizes_error", "tau"), ("inputs_error", "inputs"))
    for index, (key, label) in enumerate(parts):
        marks = [(row[key], y) for y, row in enumerate(rows) if wording.is_positive(row[key])]
        if marks:
            axes.plot(
                *zip(*marks, strict=True), color=canvas.colour_of(index), ls="",
                marker=canvas.marker_of(index), ms=6, label=label,
            )  # fmt: skip
    axes.set_xscale("log")
    canvas.powers_of_ten(axes)
    axes.set_title("error, relative to the exact gradient")
    axes.grid(True)
    axes.legend(fontsize=8)


def _draw_bars(axes: Axes, rows: list[Mapping[str, Any]], key: str, title: str, say: Any) -> None:
    values = [row[key] or 0 for row in rows]
    axes.barh(range(len(rows)), values, color=canvas.colour_of(4), height=0.6)
    for y, row in enumerate(rows):
        axes.annotate(
            say(row[key]), (values[y], y), xytext=(4, 0), textcoords="offset points", va="center",
            fontsize=8,
        )  # fmt: skip
    axes.set_title(title)
    axes.set_xlim(0, 1.35 * (max(values) or 1))
    canvas.ticks(axes, "x", [], [])
