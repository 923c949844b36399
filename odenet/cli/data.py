"""`odenet data`: fetch and check the published data sets."""

from typing import Annotated

import typer

from odenet.cli.options import DataDir, Json

app = typer.Typer(help="Fetch and check the published data sets.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="mnist, fashion_mnist or cifar10.", metavar="NAME")]
Names = Annotated[
    list[str] | None,
    typer.Argument(help="Data sets; all by default.", metavar="[NAME]...", show_default=False),
]


@app.command("fetch")
def fetch_command(name: Name, data_dir: DataDir = None, json: Json = False) -> None:
    """Download a data set from its public mirrors, or continue an interrupted download."""
    from odenet.data import fetch

    _require(name)
    _show({name: fetch(name, data_dir, progress=not json)}, json)


@app.command("check")
def check_command(names: Names = None, data_dir: DataDir = None, json: Json = False) -> None:
    """Check the files against published checksums; exit status 1 if one is missing or damaged."""
    from odenet.data import PUBLISHED, check

    for name in names or []:
        _require(name)
    found = {name: check(name, data_dir) for name in names or PUBLISHED}
    _show(found, json)
    if any(status.state != "ok" for statuses in found.values() for status in statuses):
        raise typer.Exit(1)


def _require(name: str) -> None:
    from odenet.data import PUBLISHED
    from odenet.errors import DataError
    from odenet.part.explain import nearest

    if name not in PUBLISHED:
        raise DataError(f"there is no published data set {name!r}; {nearest(name, PUBLISHED)}")


def _show(found: dict, json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from odenet.cli.output import print_json

    if json:
        print_json(
            {
                name: [{"path": str(s.path), "state": s.state} for s in statuses]
                for name, statuses in found.items()
            }
        )
        return
    table = Table("data set", "file", "state")
    colours = {"ok": "green", "missing": "yellow", "damaged": "red"}
    for name, statuses in found.items():
        for status in statuses:
            colour = colours[status.state]
            table.add_row(name, status.path.name, f"[{colour}]{status.state}[/]")
    Console().print(table)
