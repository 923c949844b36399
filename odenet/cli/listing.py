"""`odenet list`: experiments, and every exchangeable part with its options."""

from pathlib import Path
from typing import Annotated

import typer

from odenet.cli.options import Json


def command(
    part: Annotated[
        str | None,
        typer.Argument(help="Show this part only, such as integrator.", metavar="[PART]"),
    ] = None,
    experiments: Annotated[
        Path, typer.Option("--experiments", help="Folder of experiment files.")
    ] = Path("experiments"),
    json: Json = False,
) -> None:
    """List experiments, and every part that can be exchanged with its options."""
    from rich.console import Console
    from rich.table import Table

    from odenet.cli.output import print_json
    from odenet.errors import ConfigError
    from odenet.experiment.catalogue import list_experiments, list_parts
    from odenet.part.explain import nearest

    parts = list_parts()
    if part is not None and part not in parts:
        raise ConfigError(f"there is no part {part!r}; {nearest(part, parts)}")
    shown = parts if part is None else {part: parts[part]}
    files = list_experiments(experiments) if part is None else {}
    if json:
        print_json({"experiments": files, "parts": shown})
        return
    console = Console()
    if part is None:
        table = Table("experiment", "description", title="experiments", title_justify="left")
        for path, description in files.items():
            table.add_row(path, description)
        console.print(table)
    for name, kinds in shown.items():
        table = Table(title=name, title_justify="left")
        for heading in ("kind", "option", "values", "default"):
            table.add_column(heading, overflow="fold")
        for kind, options in kinds.items():
            rows = options or [{"name": "", "values": "", "default": ""}]
            for index, option in enumerate(rows):
                table.add_row(
                    kind if index == 0 else "", option["name"], option["values"], option["default"]
                )
        console.print(table)
