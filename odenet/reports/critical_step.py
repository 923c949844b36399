"""Trainings at several step sizes as a table: the fall of accuracy, and the critical step size."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from odenet.reports import wording


def critical_step_table(found: Mapping[str, Any]) -> Table:
    """One row for every number of steps, one column for every seed, the critical step size last.

    Args:
        found: What `critical_steps` gives.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column("steps", justify="right")
    table.add_column("step size", justify="right")
    for seed in found["seeds"]:
        table.add_column(f"fall, seed {seed['seed']}", justify="right")
    falls = [{one["num_steps"]: one for one in seed["trained"]} for seed in found["seeds"]]
    for steps in sorted(set().union(*falls)):
        sizes = [of[steps]["largest_step"] for of in falls if steps in of]
        cells = [wording.points(of[steps]["fall"]) if steps in of else wording.NONE for of in falls]
        table.add_row(str(steps), wording.decimal(max(sizes)), *cells)
    table.add_section()
    critical = [wording.decimal(seed["critical_step"]) for seed in found["seeds"]]
    table.add_row("critical", "", *critical)
    return table
