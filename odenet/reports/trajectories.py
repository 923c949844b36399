"""Trajectories in words: a table of blocks, and whether their paths could be those of an ODE."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from odenet.reports import wording


def trajectories_table(found: Mapping[str, Any]) -> Table:
    """A row for every block.

    Args:
        found: What `trajectories.json` holds.
    """
    table = Table(title=f"{found['directory']}, paths of {found['num_examples']} examples")
    for heading in ("block", "state", "steps", "crossing pairs", "most in step", "turned over"):
        table.add_column(heading, justify="right")
    for number, block in enumerate(found["blocks"], start=1):
        crossed, turned = block["crossings"], block["orientation"]
        most = max(crossed["in_step"], default=0)
        table.add_row(
            str(number),
            str(block["size"]),
            str(len(crossed["in_step"])),
            f"{crossed['pairs']} of {crossed['all_pairs']}",
            wording.NONE if not most else str(1 + crossed["in_step"].index(most)),
            wording.NONE if turned is None else str(turned["reversed_examples"]),
        )
    return table


def trajectories_sentences(found: Mapping[str, Any]) -> list[str]:
    """What crossings and determinants prove, and what the plane of a larger state leaves out."""
    lines = []
    for number, block in enumerate(found["blocks"], start=1):
        lines.append(f"block {number}: {_of_pairs(block)}")
        turned = block["orientation"]
        if turned is not None:
            lines.append(f"block {number}: {_of_determinants(turned, found['num_examples'])}")
        if block["explained"] is not None:
            first, second = block["explained"]
            lines.append(
                f"block {number}: the two principal components that are drawn explain "
                f"{wording.percent(first)} and {wording.percent(second)} of the variance of its "
                f"{block['size']} numbers"
            )
    return lines


def _of_pairs(block: Mapping[str, Any]) -> str:
    crossed = block["crossings"]
    pairs = f"{crossed['pairs']} of {crossed['all_pairs']} pairs of paths"
    if block["size"] == 1:
        proof = "no ODE of this state has such paths" if crossed["pairs"] else "as with any ODE"
        return f"{pairs} change their order; {proof}"
    part = wording.percent(crossed["nearness"])
    return (
        f"{pairs} pass each other within a step, nearer than {part} of their distance before and "
        f"after it"
    )


def _of_determinants(turned: Mapping[str, Any], num_examples: int) -> str:
    reversed_examples = turned["reversed_examples"]
    hidden = (
        f" ({turned['unresolved']} determinants are hidden by round-off)"
        if turned["unresolved"]
        else ""
    )
    if reversed_examples:
        return (
            f"at {reversed_examples} of {num_examples} examples its map turns space over, by a "
            f"determinant below 0, as no flow of an ODE of this state does{hidden}"
        )
    return f"its map turns space over at none of {num_examples} examples, as no flow does{hidden}"
