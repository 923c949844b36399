"""`--plugin`: load plug-ins, for every command and at any position of the command line."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE|PACKAGE",
        help="Python file or installed package with your own parts; may be repeated.",
        show_default=False,
    ),
]


def load_named(arguments: Sequence[str]) -> list[str]:
    """Load the plug-ins of `--plugin` before typer parses: a plug-in may define a subcommand.

    Args:
        arguments: Arguments of the command line.

    Returns:
        The arguments without `--plugin`.

    Raises:
        PluginError: as `load_plugin`.
    """
    others, left = [], list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--":
            return [*others, argument, *left]
        if argument == "--plugin" and left:
            _load([left.pop(0)])
        elif argument.startswith("--plugin="):
            _load([argument.partition("=")[2]])
        else:
            others.append(argument)
    return others


def offer_plugins(app: typer.Typer) -> None:
    """Give every command of an application the option `--plugin`."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = takes_plugins(command.callback)
    for inner in app.registered_groups:
        if inner.typer_instance is not None:
            offer_plugins(inner.typer_instance)


def takes_plugins(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command with the option `--plugin`, which loads the plug-ins first."""
    signature = inspect.signature(command)

    @functools.wraps(command)
    def with_plugins(*, plugin: list[str] | None = None, **values: Any) -> Any:
        _load(plugin or [])
        return command(**values)

    added = inspect.Parameter(
        "plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Plugins
    )
    parameters = [*signature.parameters.values(), added]
    with_plugins.__signature__ = signature.replace(parameters=parameters)  # pyright: ignore[reportAttributeAccessIssue]
    with_plugins.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_plugins


def _load(names: Sequence[str]) -> None:
    if names:  # the first use imports pydantic and the imports of the plug-in
        from odenet.part.plugin import load_plugin

        for name in names:
            load_plugin(name)
