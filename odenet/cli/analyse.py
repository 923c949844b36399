"""`odenet analyse`: one subcommand for each instrument, generated from the instrument's options.

The table of instruments gives names and questions without an import of the instruments. The call or
the help page of a subcommand imports its instrument.
"""

import enum
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from odenet.cli.options import DataDir, Json, Overrides, RunPath
from odenet.cli.plugins import takes_plugins
from odenet.narration import doing


class RenamedOptionWarning(UserWarning):
    """An option was given by its old name."""


class At(enum.StrEnum):
    """The checkpoint to measure."""

    start = "start"
    last = "last"
    best = "best"


class Split(enum.StrEnum):
    """The split to measure on."""

    train = "train"
    validation = "validation"
    test = "test"


AtOption = Annotated[
    At, typer.Option("--at", help="The checkpoint: start, last, or best on validation.")
]
OldAtOption = Annotated[At | None, typer.Option("--checkpoint", hidden=True)]


class _Instrument(TyperCommand):
    """Placeholder of an instrument's command; the call generates the command."""

    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> Any:
        made = _command_of(str(self.name))
        return made.make_context(info_name, args, parent, **extra)


class _Instruments(TyperGroup):
    """The registered subcommands and one subcommand for every instrument of the table."""

    def list_commands(self, ctx: Any) -> list[str]:
        self._find()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        self._find()
        return super().get_command(ctx, cmd_name)

    def _find(self) -> None:
        from odenet.instruments.table import names, question

        found = names()
        for name, command in list(self.commands.items()):
            if isinstance(command, _Instrument) and name not in found:
                del self.commands[name]
        for name in found:
            if name not in self.commands:
                self.commands[name] = _Instrument(name, help=question(name))


app = typer.Typer(
    cls=_Instruments,
    help="Measure a trained network: one instrument for each subcommand.",
    no_args_is_help=True,
)


@app.command("all")
def command_all(
    directory: RunPath,
    overrides: Overrides = None,
    split: Annotated[
        Split | None,
        typer.Option(help="Split to measure on; without it, the default of each instrument."),
    ] = None,
    at: AtOption = At.last,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Measure a run by every instrument that applies, and write one page.

    Writes instruments.html into the run directory, beside the files of each instrument.
    """
    from odenet.cli.finish import finish_instruments
    from odenet.instruments.every import measure_all

    options = {} if split is None else {"split": split.value}
    with doing("measuring"):
        every = measure_all(directory, overrides or [], at=at.value, data_dir=data_dir, **options)
        finish_instruments(directory, every, json)


def _command_of(name: str) -> Any:
    """The command of an instrument, with its help page."""
    from odenet.instruments.table import find, question

    instrument = find(name)
    one = not instrument.compares_runs
    made = _on_one_run(instrument) if one else _on_several_runs(instrument)
    about = (instrument.__doc__ or "").partition("\n")[0]
    help = "\n\n".join([question(name), about, *([_written(instrument)] if one else [])])
    epilog = f"Example:\n\nodenet analyse {name} {instrument.example}"
    alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
    alone.command(name, help=help, epilog=epilog)(takes_plugins(made))
    found = typer.main.get_command(alone)
    found.context_settings = {"help_option_names": ["-h", "--help"]}
    return found


def _written(instrument: Any) -> str:
    figure = " and a figure" if instrument.has_figure else ""
    return f"Writes {instrument.file()}{figure} into the run directory and updates its report."


def _on_one_run(instrument: Any) -> Any:
    from odenet.cli import generated
    from odenet.cli.generated import parameter

    name = instrument.instrument_name()

    def command(
        *,
        directory: Path,
        overrides: list[str] | None,
        at: At,
        checkpoint: At | None,
        data_dir: Path | None,
        json: bool,
        **values: Any,
    ) -> None:
        from odenet.cli.finish import finish_instrument
        from odenet.experiment.loaded_run import load
        from odenet.instruments.measurement import measure_run

        if checkpoint is not None:
            warnings.warn(
                f"--checkpoint is an old spelling; write --at {checkpoint.value}",
                RenamedOptionWarning,
                2,
            )
            at = checkpoint
        with doing(f"measuring {name}"):
            chosen = generated.filled(instrument, values, f"odenet analyse {name}")
            run = load(directory, overrides or [], at.value, data_dir)
            finish_instrument(chosen, directory, measure_run(chosen, run), json)

    options = generated.parameters_of(instrument)
    first = [one for one in options if one.name == "split"]
    return generated.signed(
        command,
        [
            parameter("directory", RunPath),
            parameter("overrides", Overrides, None),
            *first,
            parameter("at", AtOption, At.last),
            parameter("checkpoint", OldAtOption, None),
            *(one for one in options if one not in first),
            parameter("data_dir", DataDir, None),
            parameter("json", Json, False),
        ],
    )


def _on_several_runs(instrument: Any) -> Any:
    from odenet.cli import generated
    from odenet.cli.generated import parameter

    name = instrument.instrument_name()

    def command(
        *, directories: list[Path], json: bool, figure: Path | None = None, **values: Any
    ) -> None:
        from odenet.cli.finish import finish_comparing_instrument
        from odenet.instruments.measurement import measure_runs

        with doing(f"measuring {name}"):
            chosen = generated.filled(instrument, values, f"odenet analyse {name}")
            finish_comparing_instrument(chosen, measure_runs(chosen, directories), figure, json)

    runs = Annotated[list[Path], typer.Argument(help=instrument.runs, metavar="RUN...")]
    figure_file = Annotated[Path | None, typer.Option(help="PNG file for the figure.")]
    return generated.signed(
        command,
        [
            parameter("directories", runs),
            *generated.parameters_of(instrument),
            *([parameter("figure", figure_file, None)] if instrument.has_figure else []),
            parameter("json", Json, False),
        ],
    )
