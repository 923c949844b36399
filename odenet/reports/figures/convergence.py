"""Convergence: order, error against cost, and accuracy over the step size."""

from collections.abc import Callable, Mapping
from typing import Any

from odenet.reports import wording
from odenet.reports.convergence import solver_name
from odenet.reports.figures import canvas
from odenet.reports.figures.canvas import Axes, Figure


@canvas.styled
def convergence_figure(found: Mapping[str, Any]) -> Figure | None:
    """Error over step size, accuracy over step size, error over NFE and over time.

    Args:
        found: What `convergence.json` holds.

    Returns:
        The figure; None if nothing was measured.
    """
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


def _draw_order(axes: Axes, found: Mapping[str, Any]) -> None:
    rows = found["halvings"]
    for key, index, label in (("error", 0, "error"), ("change", 1, "change when halved")):
        curve = [(r["largest_step"], r[key]) for r in rows if _positive(r[key])]
        if curve:
            axes.plot(*zip(*curve, strict=True), label=label, **_look(index))  # pyright: ignore
    order = found["observed_order"]
    title = f"halving the steps of {found['integrator']}"
    changes = [(r["largest_step"], r["change"]) for r in rows if _positive(r["change"])]
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
    _log_log(axes)
    axes.legend(fontsize=8)


def _draw_accuracy(axes: Axes, found: Mapping[str, Any]) -> None:
    judged = found["criticality"]
    steps = {row["factor"]: row["largest_step"] for row in found["halvings"]}
    own = [cost for cost in found["costs"] if cost["solver"] == "own"]
    axes.plot(
        [steps[cost["factor"]] for cost in own], [cost["accuracy"] for cost in own],
        label=f"{found['integrator']} at this step size", **_look(0),
    )  # fmt: skip
    reference, threshold = judged["reference_accuracy"], judged["threshold"]
    tone = canvas.TONES["good" if judged["is_ode"] else "bad"]
    axes.axhspan(
        reference - threshold, reference + threshold, color=canvas.GOOD, alpha=0.1, lw=0,
        label="the ODE, to the threshold",
    )  # fmt: skip
    axes.axvline(found["largest_step"], color=canvas.INK, lw=1, ls="--", label="as trained")
    if judged["critical_step"] is not None:
        axes.axvline(
            judged["critical_step"], color=canvas.GOOD, lw=1, ls=":", label="critical step size"
        )
    verdict = "an ODE" if judged["is_ode"] else "no ODE"
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
            if cost["solver"] == solver and cost["solver_ok"] and _positive(cost["error"])
        ]
        if curve:
            axes.plot(  # pyright: ignore
                *zip(*curve, strict=True), label=solver_name(solver, found), **_look(index)
            )
    axes.set_title(f"error against {'time' if key == 'seconds' else 'NFE'}")
    axes.set_xlabel(name)
    axes.set_ylabel("error of the outputs")
    _log_log(axes)
    axes.legend(fontsize=8)


def _look(index: int) -> dict[str, Any]:
    return {
        "color": canvas.colour_of(index),
        "marker": canvas.marker_of(index),
        "ls": canvas.dashes_of(index),
        "ms": 4,
        "lw": 1.5,
    }


def _log_log(axes: Axes) -> None:
    axes.set_xscale("log")
    canvas.plain_numbers(axes, "x")
    canvas.logarithmic(axes)


def _positive(value: Any) -> bool:
    return wording.is_number(value) and value > 0
