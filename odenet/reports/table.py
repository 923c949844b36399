"""The results of a comparison or a run as tables for the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from odenet.analysis.compare import TRAINED
from odenet.plotting import wording
from odenet.reports.summary import run_summary

_STYLES = {"good": "bold green", "bad": "bold red", "none": "bold"}


def comparison_tables(comparison: Mapping[str, Any]) -> list[RenderableType]:
    """One table of evaluations for every network, then one verdict for every network.

    The tables need 100 columns. A narrower terminal shortens names, never numbers.

    Args:
        comparison: Contents of `comparison.json`.
    """
    rows = comparison["rows"]
    has_accuracy = any(row["accuracy"] is not None for row in rows)
    # Widths over all networks, so that the columns of all tables are aligned.
    lines = [_header(has_accuracy), *(_cells(row, has_accuracy) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    tables: list[RenderableType] = [
        _pairs(name, [row for row in rows if row["trained_with"] == name], widths, has_accuracy)
        for name in comparison["networks"]
    ]
    trained = {row["trained_with"]: row for row in rows if row["evaluated_with"] == TRAINED}
    return [*tables, _verdicts(comparison["verdicts"], trained)]


def run_table(results: Mapping[str, Any]) -> Table:
    """The numbers of one training.

    Args:
        results: Contents of `results.json`.
    """
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(no_wrap=True)
    for quantity in run_summary(results):
        table.add_row(quantity.name, quantity.text)
    return table


class _Name:
    """A name that is shortened in its middle if the column is narrow.

    Names of evaluations differ at both ends (`tsit5_..._1e-3`), and wrapped numbers are unreadable.
    """

    def __init__(self, name: str, column: int):
        self.name, self.column = name, column

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(8, self.column), self.column)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        most = options.max_width
        name = self.name
        if len(name) > most:
            tail = (most - 1) // 2
            name = f"{name[: most - 1 - tail]}…{name[len(name) - tail :]}"
        yield Text(name, no_wrap=True)


def _header(has_accuracy: bool) -> list[str]:
    accuracy = ["accuracy"] if has_accuracy else []
    return ["evaluated with", *accuracy, "loss", "NFE", "error", "batch", "compile", "solved"]


def _cells(row: Mapping[str, Any], has_accuracy: bool) -> list[str]:
    return [
        row["evaluated_with"],
        *([wording.percent(row["accuracy"])] if has_accuracy else []),
        wording.decimal(row["loss"]),
        wording.count(row["nfe"]),
        wording.error(row["solver_error"]),
        wording.seconds(row["step_seconds"]),
        wording.seconds(row["compile_seconds"]),
        "yes" if row["solver_ok"] else "✗ no",
    ]


def _pairs(
    network: str, rows: Sequence[Mapping[str, Any]], widths: Sequence[int], has_accuracy: bool
) -> Table:
    parameters = wording.count(rows[0]["parameters"]) if rows else wording.NONE
    title = Text.assemble(
        ("trained with ", "dim"), (network, "bold"), (f"  {parameters} parameters", "dim")
    )
    table = Table(
        box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="",
        pad_edge=False, show_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    name, *numbers = _header(has_accuracy)
    table.add_column(name)
    for header, width in zip(numbers, widths[1:], strict=True):
        table.add_column(header, justify="right", no_wrap=True, width=width)
    for row in rows:
        name, *cells = _cells(row, has_accuracy)
        own = row["evaluated_with"] == TRAINED
        style = "bold" if own else "" if row["solver_ok"] else "red"
        table.add_row(_Name(name, widths[0]), *cells, style=style)
    return table


def _verdicts(
    verdicts: Sequence[Mapping[str, Any]], trained: Mapping[str, Mapping[str, Any]]
) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for verdict in verdicts:
        own = trained.get(verdict["network"])
        style = _STYLES[wording.verdict_tone(verdict)]
        warning = wording.verdict_warning(verdict)
        table.add_row(
            Text(wording.verdict_mark(verdict), style=style),
            Text.assemble(
                (verdict["network"], "bold"), ": ", (wording.verdict_name(verdict, own), style),
                f"; {wording.verdict_reason(verdict, own)}",
                *([("; warning: ", "bold yellow"), warning] if warning else []),
            ),
        )  # fmt: skip
    return table
