"""`odenet list`: experiment files, and the parts of an experiment with their options."""

from pathlib import Path
from typing import Annotated, Any

import typer

from odenet.cli.options import Json

FIRST_EXPERIMENT = """name: first
data: digits
model: {kind: classifier, stages: [{width: 64}]}
training: {num_steps: 300}
"""
"""A first experiment file, shown where there is none."""


def command(
    part: Annotated[
        str | None,
        typer.Argument(help="Show the options of this part, such as integrator.", metavar="[PART]"),
    ] = None,
    experiments: Annotated[
        Path, typer.Option("--experiments", help="Folder of experiment files.")
    ] = Path("experiments"),
    json: Json = False,
) -> None:
    """List experiments and parts, or the options of one part."""
    from rich.console import Console

    from odenet.cli.output import print_json
    from odenet.errors import ConfigError
    from odenet.experiment.catalogue import list_experiments, list_parts
    from odenet.part.explain import nearest

    parts = list_parts()
    if part is not None and part not in parts:
        raise ConfigError(
            f"there is no part {part!r}; {nearest(part, parts)}; options and kinds are shown by: "
            f"odenet explain {part}"
        )
    files = list_experiments(experiments) if part is None else {}
    if json:
        print_json({"experiments": files, "parts": parts if part is None else {part: parts[part]}})
        return
    console = Console()
    if part is None:
        _show_overview(console, files, experiments, parts)
    else:
        _show_part(console, part)


def _show_overview(
    console: Any, files: dict[str, str], folder: Path, parts: dict[str, dict[str, Any]]
) -> None:
    from odenet.cli.pages import entries

    console.print("experiments", style="bold underline")
    if files:
        for path, description in files.items():
            console.print(path, style="bold", highlight=False, markup=False, soft_wrap=True)
            if description:
                console.print(f"  {description}", highlight=False, markup=False)
    else:
        console.print(
            f"none below {folder}: name a folder with --experiments, run this in a clone of the "
            f"repository, or begin with a file such as",
            highlight=False, markup=False,
        )  # fmt: skip
        for line in FIRST_EXPERIMENT.splitlines():
            console.print(f"  {line}", highlight=False, markup=False)
        console.print("and train it with: odenet run first.yaml", highlight=False)
    console.print("\nparts, and the kinds of each", style="bold underline")
    pairs = [
        (name, " | ".join(kind for kind in kinds if kind) or "(one kind)")
        for name, kinds in parts.items()
    ]
    console.print(entries(pairs))
    console.print("\noptions of one: odenet list PART; of a key: odenet explain KEY")


def _show_part(console: Any, part: str) -> None:
    from odenet.cli.pages import entries, options_page
    from odenet.experiment.catalogue import described, options_of, part_classes

    for index, (kind, model) in enumerate(part_classes()[part].items()):
        if index:
            console.print()
        console.print(kind or part, style="bold underline", highlight=False, markup=False)
        console.print(described(model), highlight=False, markup=False)
        options = options_of(model)
        if options:
            console.print(entries(options_page(options), indent=2))
