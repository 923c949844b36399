"""The audit of gradients in words: one row for every way back, and what finite differences say."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from odenet.reports import wording


def audit_table(found: Mapping[str, Any]) -> Table:
    """Errors, time and memory of every way to differentiate the network.

    Args:
        found: What `gradient_audit.json` holds.
    """
    has_steps = any(one["step_sizes_error"] is not None for one in found["gradients"])
    table = Table(
        title=f"{found['directory']}: gradients against the exact one", title_justify="left",
        title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False,
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column("on the way back")
    errors = ["weights", *(["tau"] if has_steps else []), "inputs"]
    for heading in (*errors, "time", "compile", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found["gradients"]:
        own = one["name"] in found["own"]
        steps = [_error(one["step_sizes_error"])] if has_steps else []
        table.add_row(
            one["name"] + (" (own)" if own else ""),
            _error(one["weights_error"]),
            *steps,
            _error(one["inputs_error"]),
            wording.seconds(one["seconds"]),
            wording.seconds(one["compile_seconds"]),
            wording.size(one["peak_bytes"]),
            style="bold" if own else "",
        )
    return table


def audit_sentences(found: Mapping[str, Any]) -> list[str]:
    """What the exact gradient is, and how far finite differences are from it.

    Args:
        found: What `gradient_audit.json` holds.
    """
    worst = max(found["differences"])
    lines = [
        "exact: the gradient of the steps as they were taken, in double precision; the rows are in "
        "the network's own precision",
        f"finite differences along {len(found['differences'])} random directions, in double "
        f"precision, differ from it by up to {wording.error(worst)} (relative)",
    ]
    if found["chooses_steps"]:
        lines.append(
            "the integrator chooses its steps by the parameters: the exact gradient holds them "
            "fixed, finite differences do not, and the loss jumps where their number changes"
        )
    return lines


def _error(value: float | None) -> str:
    return "not finite" if value is None else wording.error(value)
