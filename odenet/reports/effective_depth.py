"""Effective depth in words: a row for every layer, and how many of them are needed."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from odenet.reports import wording

_MOST_ROWS = 40


def depth_table(found: Mapping[str, Any]) -> Table:
    """Every layer: step, contribution, and the score without it or merged with the next.

    Args:
        found: What `effective_depth.json` holds. Of very deep blocks, the costliest layers.
    """
    metric = metric_of(found)
    table = Table(
        title=f"{found['directory']}: {metric} {say(metric, found['scores'][metric])} as it is",
        title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False,
        show_edge=False, padding=(0, 2, 0, 0),
    )  # fmt: skip
    for heading in ("block", "layer", "tau", "adds", "left out", "merged with next"):
        table.add_column(heading, justify="right")
    per_block = max(2, _MOST_ROWS // len(found["blocks"]))
    for number, block in enumerate(found["blocks"], start=1):
        shown = sorted(block["order"][::-1][:per_block])
        for layer in shown:
            merged = None if block["merged"] is None else block["merged"][metric]
            table.add_row(
                str(number),
                str(layer),
                wording.decimal(block["taus"][layer]),
                wording.percent(block["contributions"][layer]),
                say(metric, block["left_out"][metric][layer]),
                wording.NONE
                if merged is None or layer >= len(merged)
                else say(metric, merged[layer]),
            )
    return table


def depth_sentences(found: Mapping[str, Any]) -> list[str]:
    """How many layers of every block are needed, one line each.

    Args:
        found: What `effective_depth.json` holds.
    """
    metric = metric_of(found)
    cost = (
        f"{wording.points(found['threshold'])} of accuracy"
        if metric == "accuracy"
        else f"a rise of the loss of {wording.percent(found['threshold'])}"
    )
    lines = []
    for number, block in enumerate(found["blocks"], start=1):
        needed, layers = block["effective_depth"], block["num_layers"]
        rest = (
            "no layer can go for less"
            if needed == layers
            else f"the {layers - needed} that cost least can go together"
        )
        lines.append(
            f"block {number}: effective depth {needed} of {layers}: {rest} (allowed: {cost}); by "
            f"size of their contributions, {block['participation']:.1f} layers take part"
        )
    return lines


def metric_of(found: Mapping[str, Any]) -> str:
    """What layers are judged by."""
    return "accuracy" if "accuracy" in found["scores"] else "loss"


def say(metric: str, value: float | None) -> str:
    """A score as a reader knows it."""
    return wording.percent(value) if metric == "accuracy" else wording.decimal(value)
