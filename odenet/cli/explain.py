"""`odenet explain`: describe an option, a part or a kind."""

from typing import Annotated

import typer

from odenet.cli.options import Json


def command(
    key: Annotated[
        str,
        typer.Argument(help="A dotted key or the end of one, a part, or a kind.", metavar="KEY"),
    ],
    json: Json = False,
) -> None:
    """Describe an option: its values, range and default, and the parts that have it."""
    import dataclasses

    from rich.console import Console

    from odenet.cli.output import print_json
    from odenet.cli.pages import entries, facts
    from odenet.experiment.explain import explain_key

    found = explain_key(key)
    if json:
        print_json({"meanings": [dataclasses.asdict(meaning) for meaning in found]})
        return
    console = Console()
    for index, meaning in enumerate(found):
        if index:
            console.print()
        console.print(meaning.key, style="bold", markup=False, highlight=False, soft_wrap=True)
        lines = [facts(meaning.option)] if meaning.option else []
        lines += [meaning.about] if meaning.about else []
        if meaning.of:
            parent = meaning.key.rpartition(".")[0]
            lines.append(f"an option of {parent}.kind={'|'.join(meaning.of)}")
        for line in lines:
            console.print(f"  {line}", markup=False, highlight=False)
        if meaning.choices:
            console.print(entries(list(meaning.choices), indent=2))
