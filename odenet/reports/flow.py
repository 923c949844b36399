"""Gradient flow in words: a table of layers, and what the verdicts rest on."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from odenet.reports import wording

_MOST_ROWS = 24
_STATISTICS = {
    "live": (
        "batch norm: gradients with the statistics of the measured examples, as in training; "
        "factors with the running statistics, as in evaluation, so that no product of them is a "
        "gradient here"
    ),
    "frozen": "batch norm: gradients and factors with the running statistics",
}


def flow_table(found: Mapping[str, Any]) -> Table:
    """The layers from the last to the first, as the gradient meets them.

    Args:
        found: What `gradient_flow.json` holds. Of a deep block, layers at equal distances.
    """
    table = Table(title=f"{found['directory']}, gradient from the last layer to the first")
    for heading in ("block", "layer", "|dL/dy|", "mean y", "std y", "std dL/dy", "σ min", "σ max"):
        table.add_column(heading, justify="right")
    per_block = max(2, _MOST_ROWS // len(found["blocks"]))
    for number, block in reversed(list(enumerate(found["blocks"], start=1))):
        norms = block["gradients"]["norm"]
        for layer in _chosen(len(norms), per_block):
            table.add_row(
                str(number),
                str(layer),
                wording.decimal(norms[layer]),
                wording.decimal(block["states"]["mean"][layer]),
                wording.decimal(block["states"]["std"][layer]),
                wording.decimal(block["gradients"]["std"][layer]),
                *_singular_values(block["factors"], layer),
            )
    return table


def flow_sentences(found: Mapping[str, Any]) -> list[str]:
    """The verdicts with their rules, and what the identity term guarantees, one line each."""
    lines = [
        f"{name}: {verdict['verdict']}, by the rule `{verdict['rule']}`: {verdict['reason']}"
        for name, verdict in (
            ("gradient of the states", found["verdict"]),
            ("gradient of the weights", found["weights_verdict"]),
        )
    ]
    if found.get("batch_statistics") is not None:
        lines.append(_STATISTICS[found["batch_statistics"]])
    for number, identity in enumerate(found["identity"], start=1):
        if identity is None:
            continue
        norm, layer = wording.decimal(identity["branch"]), identity["layer"] + 1
        said = (
            "the identity term alone does not bound its fall"
            if identity["decades"] is None
            else f"by the identity term it cannot fall by more than {-identity['decades']:.2f} "
            f"decades over the block"
        )
        lines.append(
            f"block {number}: |tau df/dy| reaches {norm} in layer {layer} at the measured "
            f"examples; {said}"
        )
    return lines


def _singular_values(factors: Mapping[str, Any] | None, layer: int) -> tuple[str, str]:
    """The smallest and the largest of the factor of the step that ends at a layer."""
    if factors is None or layer == 0:
        return wording.NONE, wording.NONE
    smallest = None if factors["smallest"] is None else factors["smallest"][layer - 1]
    largest = wording.decimal(factors["largest"][layer - 1])
    return wording.decimal(smallest), largest if smallest is not None else f"≥ {largest}"


def _chosen(points: int, most: int) -> list[int]:
    """At most `most` of the layers, the last first, both ends among them."""
    if points <= most:
        return list(range(points - 1, -1, -1))
    step = (points - 1) / (most - 1)
    return [round((most - 1 - i) * step) for i in range(most)]
