"""Convergence in words: orders and costs as tables, and what the criterion says."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from odenet.reports import wording


def convergence_tables(found: Mapping[str, Any]) -> RenderableType:
    """The halvings, if there are any, and every solver with its error and its cost.

    Args:
        found: What `convergence.json` holds.
    """
    costs = _table("every solver, on the trained weights")
    for heading in ("solver", "steps", "error", "NFE", "batch", "accuracy", "loss"):
        justify = "left" if heading in ("solver", "steps") else "right"
        costs.add_column(heading, justify=justify, no_wrap=True)
    for cost in found["costs"]:
        costs.add_row(
            solver_name(cost["solver"], found),
            _times(cost["factor"]) if cost["tolerance"] is None else f"to {cost['tolerance']:g}",
            _error(cost["error"]),
            wording.count(cost["nfe"]),
            wording.seconds(cost["seconds"]),
            wording.percent(cost["accuracy"]),
            wording.decimal(cost["loss"]),
            style="" if cost["solver_ok"] else "red",
        )
    if not found["halvings"]:
        return costs
    orders = _table(f"{found['directory']}: halving the steps of {found['integrator']}")
    for heading in ("steps", "largest step", "error", "change to half", "order"):
        orders.add_column(heading, justify="right")
    for row in found["halvings"]:
        orders.add_row(
            _times(row["factor"]),
            wording.decimal(row["largest_step"]),
            _error(row["error"]),
            wording.error(row["change"]),
            wording.NONE if row["order"] is None else f"{row['order']:.2f}",
        )
    return Group(orders, costs)


def convergence_sentences(found: Mapping[str, Any]) -> list[str]:
    """The observed order, the reference, and where the network is an ODE, one line each.

    Args:
        found: What `convergence.json` holds.
    """
    lines = [f"errors are relative to {found['reference']}"]
    if not found["reference_ok"]:
        return [*lines, "that solve did not arrive, so nothing is judged by it"]
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
        f"{'an ODE' if judged['is_ode'] else 'no ODE'} at its own steps of up to {trained}: the "
        f"accuracy changes by {change} under the reference solve (allowed: {threshold}; Ott et al. "
        f"2021)"
    )
    if judged["critical_step"] is None:
        lines.append("at none of the measured step sizes does its accuracy settle at that of the "
                     "reference solve")  # fmt: skip
    else:
        lines.append(
            f"from step sizes of up to {wording.decimal(judged['critical_step'])} on, its accuracy "
            f"is that of the reference solve"
        )
    return lines


def solver_name(solver: str, found: Mapping[str, Any]) -> str:
    """A solver as a reader knows it."""
    return f"{found['integrator']} (own)" if solver == "own" else solver


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
        pad_edge=False, show_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip


def _times(factor: float) -> str:
    return f"x {factor:g}" if factor >= 1 else f"x 1/{1 / factor:g}"


def _error(value: float | None) -> str:
    return "not finite" if value is None else wording.error(value)
