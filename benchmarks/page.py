"""`python -m benchmarks.page FILE`: prints docs/performance.md from the JSON of a run."""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.wording import between, quantity, seconds, verdict

Run = dict[str, Any]


def page(run: Run, source: str) -> str:
    """The whole page.

    Args:
        run: The results of `python -m benchmarks --json`.
        source: Path of their file from the root of the repository.
    """
    parts = [_heading(run, source), _ratios(run)]
    parts += [_benchmark(result) for result in run["benchmarks"]]
    return "\n\n".join(parts) + "\n"


def _heading(run: Run, source: str) -> str:
    machine = run["machine"]
    versions = ", ".join(
        f"{name} {version}" for name, version in run["versions"].items() if version is not None
    )
    quick = (
        "\n\n**This was a quick run, which checks the benchmarks; its times are meaningless.**"
        if run["quick"]
        else ""
    )
    return (
        "# Performance\n\n"
        f"Measured on {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['os']}, on {run['date']}, at commit `{(run['git_commit'] or 'unknown')[:12]}`, "
        f"by\n\n```sh\n{run['command']}\n```\n\n"
        f"with {versions}. `python -m benchmarks.page {source}` wrote this page from "
        f"`{source}`.{quick}\n\n"
        "The sides are timed in turns, each in its own process with all cores. A ratio is our time "
        "divided by that of the peer: the median over the turns, with quartiles. Before the "
        "timing, all sides compute outputs, gradients of every parameter and two steps of the "
        "optimiser from the same weights in double precision; the results must agree."
    )


def _ratios(run: Run) -> str:
    rows = []
    for result in run["benchmarks"]:
        for ratio in result.get("ratios", []):
            measured = ratio["measured"]
            shown = f"{measured['median']:.3g}"
            spread = between(measured)
            rows.append(
                [
                    f"[{result['name']}](#{result['name']})",
                    ratio["label"],
                    "" if ratio["bar"] is None else f"{ratio['bar']:.3g}",
                    f"{shown} ({spread})" if spread else shown,
                    verdict(ratio),
                    "",
                ]
            )
    columns = ["benchmark", "ratio to", "at most", "CPU", "", "GPU"]
    sentence = "No GPU was available, so the last column is empty."
    return "\n\n".join(["## Ratios", _table(columns, rows), sentence])


def _benchmark(result: Run) -> str:
    parts = [f"## {result['name']}", f"{_sentence(result['about'])}"]
    if "sides" in result:
        parts.append(_sides(result["sides"]))
    for table in result.get("tables", []):
        cells = [
            [quantity(column, cell) for column, cell in zip(table["columns"], row, strict=True)]
            for row in table["rows"]
        ]
        columns = [_named(column, " (s)", " (bytes)") for column in table["columns"]]
        parts += [f"### {result['name']}: {table['title']}", _table(columns, cells)]
        if table["note"]:
            parts.append(table["note"])
    if result.get("agreement"):
        found = ", ".join(f"{name} {error:.1e}" for name, error in result["agreement"].items())
        parts.append(f"Largest relative difference of the sides before timing: {found}.")
    if result.get("note"):
        parts.append(result["note"])
    return "\n\n".join(parts)


def _sides(sides: dict[str, Run]) -> str:
    facts = list(dict.fromkeys(name for side in sides.values() for name in side["facts"]))
    rows = []
    for name, side in sides.items():
        time = side["seconds"]
        first = side["first_seconds"]
        cells = [name, seconds(time["median"]) if time else "", between(time, seconds)]
        cells.append(seconds(first[0]) if first else "")
        rows.append(cells + [quantity(fact, side["facts"].get(fact)) for fact in facts])
    named = [_named(fact, "_seconds", "_bytes").replace("_", " ") for fact in facts]
    return _table(["side", "step", "quartiles", "first step", *named], rows)


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _named(name: str, *units: str) -> str:
    """A name without its unit, which is in the cells."""
    for unit in units:
        name = name.removesuffix(unit)
    return name


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def main(arguments: list[str]) -> int:
    """Print the page of a JSON file."""
    if len(arguments) != 1:
        print("usage: python -m benchmarks.page FILE", file=sys.stderr)
        return 2
    print(page(json.loads(Path(arguments[0]).read_text()), arguments[0]), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
