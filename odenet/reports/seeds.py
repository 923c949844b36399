"""Results over seeds as a table in Markdown."""

from collections.abc import Mapping, Sequence

from odenet.analysis.over_seeds import Spread

_HEADINGS = {
    "test_error": "test error (%)",
    "test_loss": "test loss",
    "horizon": "sum of step sizes",
}


def seeds_markdown(seeds: Sequence[int], networks: Mapping[str, Mapping[str, Spread]]) -> str:
    """One row for each network: mean and deviation over the seeds, and every seed's number.

    Args:
        seeds: The seeds, in the order of the numbers.
        networks: Spreads by network and by what was measured.
    """
    columns = [key for key in _HEADINGS if any(key in spreads for spreads in networks.values())]
    each = ", ".join(map(str, seeds))
    heads = [f"{_HEADINGS[key]}: mean ± deviation (seeds {each})" for key in columns]
    lines = ["| network | " + " | ".join(heads) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, spreads in networks.items():
        cells = [_cell(spreads.get(key), 100.0 if key == "test_error" else 1.0) for key in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(spread: Spread | None, factor: float) -> str:
    if spread is None:
        return "–"
    mean = f"{factor * spread.mean:.4g}"
    deviation = "" if spread.deviation is None else f" ± {factor * spread.deviation:.2g}"
    return f"{mean}{deviation} ({', '.join(f'{factor * value:.4g}' for value in spread.values)})"
