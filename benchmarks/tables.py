"""Tables for the terminal."""

from typing import Any

from rich.table import Table

from benchmarks.wording import between, quantity, seconds, verdict

Result = dict[str, Any]


def ratio_table(results: list[Result]) -> Table:
    """The ratios with their bars."""
    table = Table(title="ratios, and the largest accepted ratios")
    for column in ("benchmark", "ratio to", "measured", "quartiles", "bar", ""):
        table.add_column(column)
    for result in results:
        for ratio in result.get("ratios", []):
            measured = ratio["measured"]
            colour = {None: "", True: "green", False: "red"}[ratio["met"]]
            table.add_row(
                result["name"],
                ratio["label"],
                f"{measured['median']:.3g}",
                between(measured),
                "-" if ratio["bar"] is None else f"{ratio['bar']:.3g}",
                verdict(ratio),
                style=colour,
            )
    return table


def side_table(result: Result) -> Table | None:
    """Times and facts of the sides of a comparison; None for a survey."""
    if "sides" not in result:
        return None
    table = Table(title=f"{result['name']}: {result['about']}")
    for column in ("side", "step", "quartiles", "first step", ""):
        table.add_column(column)
    for name, side in result["sides"].items():
        first = side["first_seconds"]
        facts = ", ".join(
            f"{fact} {quantity(fact, value)}" for fact, value in side["facts"].items()
        )
        table.add_row(
            name,
            seconds(side["seconds"]["median"]) if side["seconds"] else "",
            between(side["seconds"], seconds),
            seconds(first[0]) if first else "",
            facts,
        )
    return table


def survey_tables(result: Result) -> list[Table]:
    """The tables of a survey; none for a comparison."""
    made = []
    for found in result.get("tables", []):
        table = Table(title=f"{result['name']}: {found['title']}", caption=found["note"])
        for column in found["columns"]:
            table.add_column(column)
        for row in found["rows"]:
            cells = zip(found["columns"], row, strict=True)
            table.add_row(*[quantity(column, cell) for column, cell in cells])
        made.append(table)
    return made
