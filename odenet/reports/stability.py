"""Stability in words: a table of layers, and what follows for every block."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from odenet.reports import wording

_MOST_ROWS = 24


def stability_table(found: Mapping[str, Any]) -> Table:
    """The layers from the first to the last.

    Args:
        found: What `stability.json` holds. Of a deep block, steps at equal distances.
    """
    table = Table(title=f"{found['directory']}, steps from the first to the last")
    for heading in ("block", "step", "tau", "max Re λ", "μ₂", "factor", "stable", "growth"):
        table.add_column(heading, justify="right")
    per_block = max(2, _MOST_ROWS // len(found["blocks"]))
    for number, block in enumerate(found["blocks"], start=1):
        steps, growth = block["steps"], block["growth"]
        for step in evenly(len(block["taus"]), per_block):
            factor = wording.NONE if steps is None else wording.decimal(_at(steps, step))
            stable = wording.NONE if steps is None else "yes" if steps["stable"][step] else "no"
            grown = None if growth is None else growth["largest"]["largest"][step + 1]
            table.add_row(
                str(number),
                str(step + 1),
                wording.decimal(block["taus"][step]),
                wording.decimal(block["abscissa"]["largest"][step]),
                wording.decimal(block["log_norm"]["largest"][step]),
                factor,
                stable,
                wording.decimal(grown),
            )
    return table


def stability_sentences(found: Mapping[str, Any]) -> list[str]:
    """What the method does with the eigenvalues, and what becomes of perturbations."""
    lines = []
    for number, block in enumerate(found["blocks"], start=1):
        lines.append(f"block {number}: {_of_steps(block)}")
        abscissa = [value for value in block["abscissa"]["largest"] if value is not None]
        lines.append(
            f"block {number}: the largest real part of an eigenvalue of df/dh is between "
            f"{wording.decimal(min(abscissa))} and {wording.decimal(max(abscissa))} over depth"
            + ("" if block["exact"] else ", by Arnoldi's method, from below")
        )
        growth = block["growth"]
        if growth is not None:
            lines.append(
                f"block {number}: from its first state to its last a perturbation grows by up to "
                f"{wording.decimal(growth['largest']['largest'][-1])}, one in a random direction "
                f"by {wording.decimal(growth['typical']['mean'][-1])} (root mean square)"
            )
    return lines


def evenly(number: int, most: int) -> list[int]:
    """At most `most` of the indices below `number`, both ends among them."""
    if number <= most:
        return list(range(number))
    return [round(i * (number - 1) / (most - 1)) for i in range(most)]


def _at(steps: Mapping[str, Any], step: int) -> float | None:
    return steps["amplification"][step]


def _of_steps(block: Mapping[str, Any]) -> str:
    steps = block["steps"]
    if steps is None:
        return f"no step is judged: {block['reason']}"
    stable, number = sum(steps["stable"]), len(steps["stable"])
    scale, step = steps["critical_scale"], steps["critical_step"] + 1
    if scale is None:
        further = "no factor on the step sizes makes one unstable"
    elif scale < 0.05 and stable < number:
        further = f"at step {step} no shorter step would be stable"
    else:
        further = (
            f"all step sizes may be multiplied by {wording.decimal(scale)} before the first, step "
            f"{step}, leaves it"
        )
    return (
        f"{stable} of {number} steps are inside the stability region of {block['method']}; "
        f"{further}"
    )
