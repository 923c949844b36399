"""The command line. Every command is a module of its own and imports jax only when it runs."""

import sys
import warnings
from typing import Annotated

import typer
from rich.console import Console

from odenet.allocator import share_heap
from odenet.cli import (
    analyse,
    compare,
    data,
    doctor,
    evaluate,
    explain,
    listing,
    names,
    prune,
    refine,
    report,
    resume,
    run,
    schema,
    weights,
)
from odenet.cli.examples import give_examples
from odenet.cli.output import stderr
from odenet.cli.plugins import load_named, offer_plugins
from odenet.errors import OdenetError
from odenet.narration import shown_on

app = typer.Typer(
    name="odenet",
    help="Networks whose depth is time: train them, swap the solver, measure the difference.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> bool:
    if asked:
        from odenet import __version__

        print(f"odenet {__version__}")
        raise typer.Exit
    return asked  # typer uses it as the value of the option


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Networks whose depth is time.

    Train them, swap the solver, measure the difference.
    """
    del version


app.command("run")(run.command)
app.command("compare")(compare.command)
app.command("resume")(resume.command)
app.command("eval")(evaluate.command)
app.command("import")(weights.import_command)
app.command("export")(weights.export_command)
app.command("names")(names.command)
app.add_typer(analyse.app, name="analyse")
app.command("prune")(prune.command)
app.command("refine")(refine.command)
app.command("report")(report.command)
app.command("list")(listing.command)
app.command("explain")(explain.command)
app.command("schema")(schema.command)
app.add_typer(data.app, name="data")
app.command("doctor")(doctor.command)
give_examples(app)
offer_plugins(app)


def main() -> None:
    """Run a command. User errors print a few lines on stderr without a traceback."""
    warnings.showwarning = _show_warning
    share_heap()
    try:
        with shown_on(Console(stderr=True)):
            app(args=load_named(sys.argv[1:]))
    except OdenetError as error:
        stderr(f"error: {error}")
        if error.resume_from is not None:
            stderr(f"continue with: odenet resume {error.resume_from}")
        if error.instead is not None:
            stderr(error.instead)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        stderr("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        stderr(f"error: {error.filename or 'a file'} cannot be used: {error.strerror}")
        sys.exit(2)


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    # For odenet's own warnings the category and the line of code are left out.
    if category.__module__.startswith("odenet"):
        stderr(f"warning: {message}")
    else:
        stderr(f"warning: {category.__name__}: {str(message).splitlines()[0]}")
