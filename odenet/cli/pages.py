"""Two-column pages of names and descriptions, without line breaks within a name."""

from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def facts(option: dict[str, str]) -> str:
    """Values, range and default of an option in one line."""
    said = ", ".join(filter(None, (option["values"], option["range"])))
    if option["default"] == "required":
        return f"{said}; required"
    return f"{said}; default {option['default']}" if option["default"] else said


def options_page(options: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Name of every option, with its facts and description."""
    return [
        (option["name"], "\n".join(filter(None, (facts(option), option["description"]))))
        for option in options
    ]


def entries(pairs: list[tuple[str, str]], indent: int = 0) -> Any:
    """A table of names and descriptions, without line breaks within a name.

    A name of several kinds, `euler | rk4`, wraps between kinds.
    """
    words = [word for name, _ in pairs for word in name.split()]
    widest = max(map(len, words), default=0)
    longest = max((len(name) for name, _ in pairs), default=0)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(min_width=widest, max_width=max(widest, min(longest, 28)))
    table.add_column(overflow="fold")
    for name, text in pairs:
        table.add_row(Text(name, style="bold"), Text(text))
    return Padding(table, (0, 0, 0, indent))
