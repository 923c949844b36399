"""What there is to choose from: experiment files, and every exchangeable part with its options.

Read off the configuration models themselves, so that it cannot fall behind them.
"""

from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from odenet.errors import ConfigError
from odenet.experiment.config import ExperimentConfig, read_yaml

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
    """Every part that is chosen by `kind`: part, kind, and the kind's options.

    An option has a `name`, its `values` and its `default`, all as text.
    """
    parts: dict[str, dict[str, Options]] = {}
    _collect(ExperimentConfig, parts)
    return parts


def _collect(model: type[BaseModel], parts: dict[str, dict[str, Options]]) -> None:
    for name, field in model.model_fields.items():
        for choice in _choices(field.annotation):
            kind = choice.model_fields.get("kind")
            if kind is None:
                _collect(choice, parts)
                continue
            names = " | ".join(get_args(kind.annotation))
            if names not in parts.setdefault(name, {}):
                parts[name][names] = [
                    _option(key, info) for key, info in choice.model_fields.items() if key != "kind"
                ]
                _collect(choice, parts)


def _choices(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [choice for inner in get_args(annotation) for choice in _choices(inner)]


def _option(name: str, field: FieldInfo) -> dict[str, str]:
    if field.is_required():
        default = "required"
    elif isinstance(field.default, BaseModel):
        default = getattr(field.default, "kind", "")
    elif field.default is None or field.default is PydanticUndefined:
        default = ""
    else:
        default = str(field.default)
    return {"name": name, "values": _values(field.annotation), "default": default}


def _values(annotation: Any) -> str:
    """An annotation as a user would say it."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin is Annotated:
        return _values(inner[0])
    if origin in (Union, UnionType):
        words = [
            "part" if _choices(part) else _values(part) for part in inner if part is not NoneType
        ]
        return " or ".join(dict.fromkeys(words))
    if origin is tuple:
        return f"list of {_values(inner[0])}"
    if origin is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "part"
    return {int: "whole number", float: "number", str: "text", bool: "true | false"}.get(
        annotation, str(annotation)
    )
