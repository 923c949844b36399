"""Gradients at the input of networks of several depths, as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from odenet.reports import wording


def gradient_scaling_table(found: Mapping[str, Any]) -> Table:
    """One row for every network and depth, the law of depth under each network.

    Args:
        found: What `gradient_scaling` gives.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column("network")
    for column in ("steps", "seeds", "|dL/dY0|", "|dL/dY0| / |dL/dYN|"):
        table.add_column(column, justify="right")
    for name, network in found["networks"].items():
        for depth, runs in by_depth(network["runs"]).items():
            table.add_row(
                name, str(depth), str(len(runs)), *(_range(runs, key) for key in _QUANTITIES)
            )
        table.add_row(
            name, "", "verdict", *(scaling_words(network[key]) for key in _QUANTITIES),
            end_section=True,
        )  # fmt: skip
    return table


_QUANTITIES = ("first", "transport")


def by_depth(runs: Sequence[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    """Runs of one network by their number of steps, the least first."""
    depths = sorted({run["num_steps"] for run in runs})
    return {depth: [run for run in runs if run["num_steps"] == depth] for depth in depths}


def geometric_mean(values: Sequence[float | None]) -> float | None:
    """Of positive numbers; None if one of them is not, or is missing."""
    kept = [value for value in values if value is not None and value > 0]
    return float(np.exp(np.mean(np.log(kept)))) if len(kept) == len(values) > 0 else None


def scaling_words(scaling: Mapping[str, Any]) -> str:
    """A power law in words: the verdict and the exponent with its standard error."""
    if scaling["exponent"] is None:
        return scaling["verdict"]
    error = scaling["standard_error"]
    spread = "" if error is None else f" ± {error:.2f}"
    return f"{scaling['verdict']}, N^({scaling['exponent']:.2f}{spread})"


def _range(runs: Sequence[Mapping[str, Any]], key: str) -> str:
    values = [run[key] for run in runs]
    mean = wording.decimal(geometric_mean(values))
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return mean
    return f"{mean} ({wording.decimal(min(known))} to {wording.decimal(max(known))})"
