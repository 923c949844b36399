"""Options of a command, generated from the fields of a configuration.

Names, types, choices and defaults are those of the fields. The help texts are their docstrings.
"""

import enum
import inspect
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from odenet.errors import ConfigError
from odenet.part import PartConfig
from odenet.part.explain import explain

_PLAIN = (int, float, str, bool, Path)


def parameters_of(model: type[PartConfig]) -> list[inspect.Parameter]:
    """A keyword parameter in typer's form for every field but `kind`.

    A field is a number, a text, a path, a boolean or a literal; or one of these or None; or a tuple
    of these, `tuple[float, ...]`, which becomes a repeatable option.

    Args:
        model: The configuration.

    Raises:
        TypeError: if a field is of another type.
    """
    return [
        _parameter(name, field, model.renamed_values.get(name, {}))
        for name, field in model.model_fields.items()
        if name != "kind"
    ]


def filled(model: type[PartConfig], values: dict[str, Any], where: str) -> Any:
    """The configuration from the values of its options, with defaults for the others.

    Args:
        model: The configuration.
        values: Values by field name; None and an empty list mean the default.
        where: Name of the command, for errors.

    Raises:
        ConfigError: if a value breaks a rule.
    """
    given = {
        name: _plain(value) for name, value in values.items() if value is not None and value != []
    }
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ConfigError(explain(model, error, where, given)) from None


def signed(command: Any, parameters: list[inspect.Parameter]) -> Any:
    """Give a function an explicit signature for typer.

    Args:
        command: Function with keyword arguments only.
        parameters: The parameters of the signature.
    """
    command.__signature__ = inspect.Signature(parameters)
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


REQUIRED: Any = ...
"""The default of a parameter that must be given."""


def parameter(name: str, annotation: Any, default: Any = REQUIRED) -> inspect.Parameter:
    """A keyword parameter of a command."""
    default = inspect.Parameter.empty if default is REQUIRED else default
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def choice(name: str, values: tuple[str, ...]) -> Any:
    """An enumeration of texts, which typer shows as choices."""
    return enum.StrEnum(name, {value: value for value in values})


def _parameter(name: str, field: FieldInfo, renamed: Mapping[str, str]) -> inspect.Parameter:
    inner, repeated = _element(field.annotation)
    kind: Any = _type(name, inner, tuple(renamed))
    default: Any = field.default
    if repeated:
        kind, default = list[kind], None if default == () else default
    required = field.is_required()
    if default is None and not required:
        kind = kind | None
    help = (field.description or "").replace("\n", " ")
    # Old values are accepted but not shown.
    metavar = f"[{'|'.join(get_args(inner))}]" if renamed else None
    option = typer.Option(help=help, metavar=metavar, show_default=default is not None or required)
    if isinstance(kind, type) and issubclass(kind, enum.StrEnum) and default is not None:
        default = kind(default)
    return parameter(name, Annotated[kind, option], REQUIRED if required else default)


def _element(annotation: Any) -> tuple[Any, bool]:
    """The type of a value, and whether several may be given."""
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = (one for one in get_args(annotation) if one is not type(None))
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0], True
    return annotation, False


def _type(name: str, inner: Any, old_values: tuple[str, ...] = ()) -> Any:
    if get_origin(inner) is Literal:
        return choice(name, get_args(inner) + old_values)
    if inner not in _PLAIN:
        raise TypeError(
            f"an option is a number, a text, a path, a boolean or a literal, one or a tuple of "
            f"them; {name} is {inner}"
        )
    return inner


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
