"""Catalogue of experiment files, and of all parts with their options.

The parts are read from the configuration classes.
"""

import inspect
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from odenet.errors import ConfigError
from odenet.experiment.config import ExperimentConfig
from odenet.experiment.yaml_file import read_yaml
from odenet.part.family import generation
from odenet.part.kinds import all_parts, kinds_of, members

Options = list[dict[str, str]]


def list_experiments(folder: Path) -> dict[str, str]:
    """Path and description of every experiment file below `folder`."""
    found = {}
    for path in sorted(folder.rglob("*.yaml")):
        try:
            values = read_yaml(path)
        except ConfigError as error:
            found[str(path)] = f"(broken: {error})"
            continue
        if "data" in values and "model" in values:
            found[str(path)] = " ".join(str(values.get("description", "")).split())
    return found


def list_parts() -> dict[str, dict[str, Options]]:
    """The options of every part of an experiment, by part and kind.

    A part without `kind` has the empty text as its kind. `option_of` gives the form of an option.
    """
    return {
        name: {kind: options_of(part) for kind, part in kinds.items()}
        for name, kinds in part_classes().items()
    }


def part_classes() -> dict[str, dict[str, type[BaseModel]]]:
    """The configuration classes of all parts of an experiment, by part and kind."""
    return _part_classes(generation())


@lru_cache(maxsize=2)
def _part_classes(generation: int) -> dict[str, dict[str, type[BaseModel]]]:
    del generation
    parts: dict[str, dict[str, type[BaseModel]]] = {}
    _collect(ExperimentConfig, parts)
    return parts


def _collect(model: type[BaseModel], parts: dict[str, dict[str, type[BaseModel]]]) -> None:
    for name, field in model.model_fields.items():
        for choice in all_parts(field.annotation):
            kinds = " | ".join(kinds_of(choice))
            if kinds not in parts.setdefault(name, {}):
                parts[name][kinds] = choice
                _collect(choice, parts)


def options_of(part: type[BaseModel]) -> Options:
    """All options of a configuration except `kind`."""
    return [option_of(key, info) for key, info in part.model_fields.items() if key != "kind"]


def described(part: type[BaseModel]) -> str:
    """The first paragraph of the docstring of a part."""
    return " ".join(inspect.cleandoc(part.__doc__ or "").split("\n\n")[0].split())


def option_of(name: str, field: FieldInfo) -> dict[str, str]:
    """The description of an option, for users.

    Returns:
        Its `name`, `values`, `range`, `default` and `description`, all as text. The range is empty
        if all values are allowed. The default is empty if it is None.
    """
    if field.is_required():
        default = "required"
    elif isinstance(field.default, BaseModel):
        default = getattr(field.default, "kind", "")
    elif field.default is None or field.default is PydanticUndefined:
        default = ""
    elif isinstance(field.default, (bool, tuple, list, dict)):
        default = _as_yaml(field.default)
    else:
        default = str(field.default)
    return {
        "name": name,
        "values": _values(field.annotation),
        "range": _range(field),
        "default": default,
        "description": " ".join((field.description or "").split()),
    }


def _as_yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_as_yaml, value))}]"
    return str(value)


def _values(annotation: Any) -> str:
    """The allowed values of an annotation, in words."""
    words = [_member(member) for member in members(annotation)]
    return " or ".join(dict.fromkeys(word for word in words if word))


def _member(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return ""
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin in (tuple, list):
        return f"list of {_values(inner[0])}"
    if origin is dict or annotation is Any:
        return "mapping" if origin is dict else "anything"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "part"
    return {int: "whole number", float: "number", str: "text", bool: "true | false"}.get(
        annotation, str(annotation)
    )


_LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below",
           "multiple_of": "a multiple of", "min_length": "length at least",
           "max_length": "length at most"}  # fmt: skip


def _range(field: FieldInfo) -> str:
    """The limits of a number, or of the length of a list, as text."""
    said = []
    for limit in [*field.metadata, *_limits_in(field.annotation)]:
        for name, words in _LIMITS.items():
            value = getattr(limit, name, None)
            if value is not None:
                said.append(f"{words} {value}")
    return ", ".join(dict.fromkeys(said))


def _limits_in(annotation: Any) -> list[Any]:
    """Limits in `Annotated`, also in the members of a union and the elements of a list."""
    found = []
    for data in getattr(annotation, "__metadata__", ()):
        found += data.metadata if isinstance(data, FieldInfo) else [data]
    if get_origin(annotation) is Literal:
        return found
    for inner in get_args(annotation):
        if (not isinstance(inner, type) and hasattr(inner, "__origin__")) or get_args(inner):
            found += _limits_in(inner)
    return found
