"""The common frame of tables for the terminal."""

from rich import box
from rich.table import Table


def framed(title: str | None = None, apart: int = 1) -> Table:
    """An empty table with a line below its headings.

    Args:
        title: Title above the table, in bold.
        apart: Number of spaces between columns.
    """
    return Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
        pad_edge=False, show_edge=False, padding=(0, apart, 0, 0),
    )  # fmt: skip
