"""Is the network an ODE? Halves the steps and exchanges the solver: order of convergence, cost."""

import dataclasses
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import field_validator
from rich.console import Group, RenderableType

from odenet.analysis import convergence, reference_solve
from odenet.analysis.compare import relative_error
from odenet.analysis.halving import halvings, observed_order
from odenet.data import Split
from odenet.experiment.loaded_run import Run
from odenet.instruments.base import RunInstrument, SplitName, normalized
from odenet.models import Discretisation
from odenet.narration import doing
from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Axes, Figure
from odenet.plotting.lines import line, log_log
from odenet.plotting.tables import framed

_ORDER_EXAMPLES = 64
"""Number of examples on which the order is measured, in double precision."""


class Convergence(RunInstrument):
    """Order of convergence, cost, and whether the network is an ODE, with the trained weights."""

    needs: ClassVar[frozenset[str]] = frozenset({"halvings", "costs", "criticality", "reference"})
    rule: ClassVar[str] = "Ott et al. 2021, arXiv:2007.15386"
    alt: ClassVar[str] = (
        "Error of the outputs at halved steps, accuracy over the step size, and error of every "
        "solver over field evaluations and over time"
    )
    caption: ClassVar[str] = (
        "All curves use the trained weights; only the steps and the solver change. The band is the "
        "accuracy of a near-exact solve within the threshold. A network is an ODE at a step size "
        "if its accuracy lies in the band. Error over cost: lower and further left is better."
    )

    kind: Literal["convergence"] = "convergence"
    split: SplitName = "test"
    """Split of the examples."""
    examples: int = 1000
    """Number of examples on which errors, accuracies and times are measured."""
    finest: int = 16
    """Largest multiple of the network's own number of steps, a power of 2."""
    threshold: float = 0.1
    """Largest change of accuracy at which the network still counts as an ODE."""
    solver: tuple[Literal["none", "euler", "midpoint", "rk4", "dopri5"], ...] = ()
    """A solver to compare with the network's own; may be repeated. Without it, all; with none, only
    the network's own."""

    @field_validator("threshold")
    @classmethod
    def _is_a_change(cls, threshold: float) -> float:
        convergence.check_threshold(threshold)
        return threshold

    def check(self, run: Run) -> None:
        """Refuse a network with a block that is not integrated in steps."""
        reference_solve.blocks_of_steps(run.config.model.blocks)

    def measure(self, run: Run) -> dict[str, Any]:
        """Measure the outputs of the network at halved steps and under other solvers.

        Raises:
            ConfigError: if an option is out of range.
        """
        blocks = reference_solve.blocks_of_steps(run.config.model.blocks)
        factors = convergence.factors_of(blocks, self.finest)
        examples = self.chosen(run, self.examples)
        inputs = normalized(run, examples)
        steps = {factor: reference_solve.largest_step(run.network, factor) for factor in factors}
        reference, name = reference_solve.reference_of(blocks, factors[-1])
        with doing("reference solve"):
            exact, succeeded = reference_solve.double_outputs(run.network, inputs, reference)
        found = []
        chooses = any(block.integrator.chooses_steps for block in blocks)
        if not chooses:
            few = inputs[:_ORDER_EXAMPLES]
            own_ways = [Discretisation(step_factor=Fraction(factor)) for factor in factors]
            outputs = [reference_solve.double_outputs(run.network, few, way)[0] for way in own_ways]
            found = halvings(factors, list(steps.values()), outputs, exact[: len(few)])
        solvers = [one for one in self.solver or convergence.SOLVERS if one != "none"]
        ways = convergence.ways_of(blocks, factors, solvers)
        costs = [_cost(run, way, examples, exact) for way in ways]
        own: dict[Any, Any] = {
            cost.factor: cost.accuracy
            for cost in costs
            if cost.solver == convergence.OWN and None not in (cost.factor, cost.accuracy)
        }
        scores = reference_solve.scores_of(run.experiment.objective.loss, exact, examples.targets)
        judged = own and not chooses and succeeded and "accuracy" in scores
        criticality = None
        if judged:
            criticality = convergence.judge_steps(own, steps, scores["accuracy"], self.threshold)
        report = convergence.Convergence(
            "/".join(dict.fromkeys(block.integrator.kind for block in blocks)),
            [block.num_steps for block in blocks],
            steps[1.0],
            name,
            succeeded,
            found,
            observed_order(found),
            costs,
            criticality,
        )
        return {"num_examples": len(examples), **dataclasses.asdict(report)}

    @staticmethod
    def table(found: Mapping[str, Any]) -> RenderableType:
        """The halved steps, if there are any, and every solver with its error and its cost."""
        costs = framed("every solver, on the trained weights")
        for heading in ("solver", "steps", "error", "NFE", "batch", "accuracy", "loss"):
            justify = "left" if heading in ("solver", "steps") else "right"
            costs.add_column(heading, justify=justify, no_wrap=True)
        for cost in found["costs"]:
            costs.add_row(
                _solver_name(cost["solver"], found),
                _steps(cost),
                wording.error_or_infinite(cost["error"]),
                wording.count(cost["nfe"]),
                wording.seconds(cost["seconds"]),
                wording.percent(cost["accuracy"]),
                wording.decimal(cost["loss"]),
                style="" if cost["solver_ok"] else "red",
            )
        if not found["halvings"]:
            return costs
        orders = framed(f"{found['directory']}: halving the steps of {found['integrator']}")
        for heading in ("steps", "largest step", "error", "change to half", "order"):
            orders.add_column(heading, justify="right")
        for row in found["halvings"]:
            orders.add_row(
                wording.times(row["factor"]),
                wording.decimal(row["largest_step"]),
                wording.error_or_infinite(row["error"]),
                wording.error(row["change"]),
                wording.NONE if row["order"] is None else f"{row['order']:.2f}",
            )
        return Group(orders, costs)

    @staticmethod
    def sentences(found: Mapping[str, Any]) -> list[str]:
        """The reference solve, the observed order, and the step sizes at which it is an ODE."""
        lines = [f"errors are relative to {found['reference']}"]
        if not found["reference_ok"]:
            return [*lines, "that solve did not reach t1, so there is no verdict"]
        if found["observed_order"] is not None:
            lines.append(
                f"observed order of {found['integrator']} at the smallest steps: "
                f"{found['observed_order']:.2f}"
            )
        judged = found["criticality"]
        if judged is None:
            return lines
        change, threshold = (wording.points(abs(judged[key])) for key in ("change", "threshold"))
        trained = wording.decimal(found["largest_step"])
        lines.append(
            f"{'an ODE' if judged['is_ode'] else 'not an ODE'} at its own steps of up to "
            f"{trained}: the accuracy changes by {change} under the reference solve (allowed: "
            f"{threshold}; Ott et al. 2021)"
        )
        if judged["critical_step"] is None:
            lines.append(
                "its accuracy reaches that of the reference solve at none of the measured step "
                "sizes"
            )
        else:
            lines.append(
                f"at step sizes of up to {wording.decimal(judged['critical_step'])}, its accuracy "
                f"is that of the reference solve"
            )
        return lines

    @staticmethod
    @canvas.styled
    def figure(found: Mapping[str, Any]) -> Figure | None:
        """Error over step size, accuracy over step size, error over NFE and over time."""
        if not found:
            return None
        own = bool(found["halvings"])
        judged = found["criticality"] is not None
        panels: list[Callable[[Axes, Mapping[str, Any]], None]] = []
        panels += [_draw_order] if own else []
        panels += [_draw_accuracy] if judged else []
        panels += [
            lambda axes, found: _draw_costs(axes, found, "nfe", "field evaluations per batch"),
            lambda axes, found: _draw_costs(axes, found, "seconds", "time of a batch (s)"),
        ]
        rows = (len(panels) + 1) // 2
        figure = canvas.new_figure(10.0, 3.4 * rows)
        grid = figure.subplots(rows, 2, squeeze=False).ravel()
        for axes, draw in zip(grid, panels, strict=False):
            draw(axes, found)
            axes.grid(True)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        return figure


def _cost(run: Run, way: convergence.Way, examples: Split, exact: np.ndarray) -> convergence.Cost:
    evaluator, state = run.experiment.evaluator(examples, way.discretisation), run.checkpoint.state
    with doing(f"evaluating under {way.solver}"):
        evaluator(state.params, state.statistics)  # compiles, so that the next call is timed warm
        found = evaluator(state.params, state.statistics)
    return convergence.Cost(
        way.solver,
        way.factor,
        way.tolerance,
        relative_error(found.outputs, exact),
        found.metrics["nfe"],
        found.step_seconds,
        found.metrics.get("accuracy"),
        found.metrics["loss"],
        found.metrics["solver_ok"] == 1.0,
    )


def _solver_name(solver: str, found: Mapping[str, Any]) -> str:
    """The name of a solver for tables and legends."""
    return f"{found['integrator']} (own)" if solver == "own" else solver


def _steps(cost: Mapping[str, Any]) -> str:
    tolerance = cost["tolerance"]
    return wording.times(cost["factor"]) if tolerance is None else f"to {tolerance:g}"


def _draw_order(axes: Axes, found: Mapping[str, Any]) -> None:
    rows = found["halvings"]
    for key, index, label in (("error", 0, "error"), ("change", 1, "change when halved")):
        curve = [(r["largest_step"], r[key]) for r in rows if wording.is_positive(r[key])]
        line(axes, curve, index, label)
    order = found["observed_order"]
    title = f"halving the steps of {found['integrator']}"
    changes = [(r["largest_step"], r["change"]) for r in rows if wording.is_positive(r["change"])]
    if order is not None and changes:
        title += f": order {order:.2f}"
        step, change = changes[-1]
        steps = [r["largest_step"] for r in rows]
        axes.plot(
            steps, [change * (h / step) ** order for h in steps], color=canvas.MUTED, lw=1, ls=":",
            label="that order",
        )  # fmt: skip
    axes.set_title(title)
    axes.set_xlabel("largest step size")
    axes.set_ylabel("relative to the outputs")
    log_log(axes)
    axes.legend(fontsize=8)


def _draw_accuracy(axes: Axes, found: Mapping[str, Any]) -> None:
    judged = found["criticality"]
    steps = {row["factor"]: row["largest_step"] for row in found["halvings"]}
    own = [cost for cost in found["costs"] if cost["solver"] == "own"]
    curve = [(steps[cost["factor"]], cost["accuracy"]) for cost in own]
    line(axes, curve, 0, f"{found['integrator']} at this step size")
    reference, threshold = judged["reference_accuracy"], judged["threshold"]
    tone = canvas.TONES["good" if judged["is_ode"] else "bad"]
    axes.axhspan(
        reference - threshold, reference + threshold, color=canvas.GOOD, alpha=0.1, lw=0,
        label="the ODE, within the threshold",
    )  # fmt: skip
    axes.axvline(found["largest_step"], color=canvas.INK, lw=1, ls="--", label="as trained")
    if judged["critical_step"] is not None:
        axes.axvline(
            judged["critical_step"], color=canvas.GOOD, lw=1, ls=":", label="critical step size"
        )
    verdict = "an ODE" if judged["is_ode"] else "not an ODE"
    axes.set_title(f"as trained: {verdict}", color=tone)
    axes.set_xscale("log")
    canvas.plain_numbers(axes, "x")
    canvas.percentages(axes)
    axes.set_xlabel("largest step size")
    axes.set_ylabel("accuracy")
    axes.legend(fontsize=8)


def _draw_costs(axes: Axes, found: Mapping[str, Any], key: str, name: str) -> None:
    costs = found["costs"]
    for index, solver in enumerate(dict.fromkeys(cost["solver"] for cost in costs)):
        curve = [
            (cost[key], cost["error"])
            for cost in costs
            if cost["solver"] == solver and cost["solver_ok"] and wording.is_positive(cost["error"])
        ]
        line(axes, curve, index, _solver_name(solver, found))
    axes.set_title(f"error against {'time' if key == 'seconds' else 'NFE'}")
    axes.set_xlabel(name)
    axes.set_ylabel("error of the outputs")
    log_log(axes)
    axes.legend(fontsize=8)
