"""Types that an annotation of a configuration allows: parts, their kinds, numbers, text."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from odenet.part.family import generation, is_contract, kinds_of, members_of

__all__ = [
    "all_parts", "chosen", "default_of", "direct_parts", "element", "is_part", "item", "kinds_of",
    "members", "takes_numbers_alone", "takes_text",
]  # fmt: skip


def members(annotation: Any) -> list[Any]:
    """The members of a union or a family, without `Annotated`; else the annotation alone."""
    if is_contract(annotation):
        return list(members_of(annotation))
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return members(inner[0])
    if origin in (Union, UnionType):
        return [member for part in inner for member in members(part)]
    return [annotation]


def is_part(annotation: Any) -> bool:
    """Whether an annotation is one part."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def direct_parts(annotation: Any) -> list[type[BaseModel]]:
    """The parts that an annotation allows, without parts in lists and mappings."""
    return [member for member in members(annotation) if is_part(member)]


def element(annotation: Any) -> Any:
    """The type of list elements, or None if the annotation allows no list."""
    for member in members(annotation):
        if get_origin(member) in (tuple, list):
            return get_args(member)[0]
    return None


def item(annotation: Any) -> Any:
    """The type of the values of a mapping, or None if the annotation allows no mapping."""
    for member in members(annotation):
        if get_origin(member) is dict:
            return get_args(member)[1]
    return None


def all_parts(annotation: Any) -> tuple[type[BaseModel], ...]:
    """All parts in an annotation, through unions, families, lists and mappings."""
    return _all_parts(annotation, generation())


@lru_cache(maxsize=1024)
def _all_parts(annotation: Any, generation: int) -> tuple[type[BaseModel], ...]:
    del generation

    def found(annotation: Any) -> Iterator[type[BaseModel]]:
        if is_contract(annotation):
            yield from members_of(annotation)
        elif is_part(annotation):
            yield annotation
        elif get_origin(annotation) is not Literal:
            for inner in get_args(annotation):
                yield from found(inner)

    return tuple(found(annotation))


def chosen(annotation: Any, value: Any, default: Any = None) -> list[type[BaseModel]]:
    """The parts that a value chooses by its `kind`, else the default's part, else all parts.

    Args:
        annotation: Annotation of the option.
        value: Value of the option: a mapping, a bare kind, a part, or None.
        default: Default of the option.
    """
    parts = direct_parts(annotation)
    if isinstance(value, BaseModel):
        return [type(value)]
    kind = value.get("kind") if isinstance(value, dict) else value
    if isinstance(kind, str):
        return [part for part in parts if kind in kinds_of(part)]
    if isinstance(default, BaseModel):
        return [type(default)]
    return parts


def takes_text(annotation: Any) -> bool:
    """Whether free text is allowed, beside names of kinds and of literals."""
    return any(member in (str, Path, Any) for member in members(annotation))


def takes_numbers_alone(annotation: Any) -> bool:
    """Whether numbers are allowed, but neither booleans nor free text."""
    allowed = members(annotation)
    return any(number in allowed for number in (int, float)) and not any(
        other in allowed for other in (bool, str, Any)
    )


def default_of(field: FieldInfo) -> Any:
    """The default of an option, or None if it is required."""
    return None if field.is_required() else field.default
