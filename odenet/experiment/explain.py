"""Validation errors in the user's own words: where, what was given, what is valid."""

import difflib
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

_SHOWN = 4


def nearest(given: str, valid: Iterable[str]) -> str:
    """The valid names, nearest first: `nearest: a, b`."""
    names = sorted(set(valid))
    if not names:
        return "there is none"
    close = difflib.get_close_matches(given, names, n=2, cutoff=0.5)
    if close:
        return f"nearest: {', '.join(close)}"
    return f"valid: {', '.join(names)}"


def explain(model: type[BaseModel], error: ValidationError, where: str) -> str:
    """A few lines that say which key of `where` breaks which rule.

    Args:
        model: The model that was validated.
        error: What pydantic found.
        where: File or object that was validated.
    """
    found = error.errors()
    inner = [details["loc"] for details in found]
    # A container whose element is wrong is reported too; the element says it better.
    found = [
        details
        for details in found
        if not any(
            len(loc) > len(details["loc"]) and loc[: len(details["loc"])] == details["loc"]
            for loc in inner
        )
    ]
    lines = [_line(model, details) for details in found]
    more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    if len(lines) == 1:
        return f"{where}: {lines[0]}"
    return "\n".join([f"{where}:", *lines[:_SHOWN], *more])


def _line(model: type[BaseModel], details: Any) -> str:
    owner, siblings, path = _walk(model, details["loc"])
    key, given = ".".join(path), details["input"]
    match details["type"]:
        case "extra_forbidden":
            return _unknown_key(owner, siblings, path)
        case "union_tag_invalid":
            expected = [tag.strip(" '") for tag in details["ctx"]["expected_tags"].split(",")]
            tag = str(details["ctx"]["tag"])
            return f"{key}.kind={tag} does not exist; {nearest(tag, expected)}"
        case "union_tag_not_found":
            return f"{key} needs a `kind`"
        case "missing":
            return f"{key} is required"
        case "value_error":
            rule = str(details["ctx"]["error"])
            return f"{key}: {rule}" if key else rule
        case "literal_error":
            expected = details["ctx"]["expected"].replace(" or ", ", ").split(", ")
            valid = [name.strip("'") for name in expected]
            return f"{key}={given!r} is not one of its values; {nearest(str(given), valid)}"
        case _:
            return f"{key}: {details['msg'][0].lower()}{details['msg'][1:]}; got {given!r}"


def _unknown_key(
    owner: type[BaseModel] | None, siblings: list[type[BaseModel]], path: list[str]
) -> str:
    name, parent = path[-1], ".".join(path[:-1])
    line = f"unknown key {'.'.join(path)}"
    if owner is None:
        return line
    if "kind" in owner.model_fields:
        line += f": {parent}.kind={'|'.join(map(str, _kinds(owner)))} has no {name}"
    places = _places(owner, name)
    if places:
        return f"{line}; it belongs to {'.'.join(part for part in (parent, places[0]) if part)}"
    for sibling in siblings:
        if sibling is not owner and (places := _places(sibling, name)):
            kind = "|".join(map(str, _kinds(sibling)))
            return f"{line}; it belongs to {parent}.kind={kind}, as {parent}.{places[0]}"
    return f"{line}; {nearest(name, owner.model_fields)}"


def _places(part: type[BaseModel], name: str) -> list[str]:
    """Where a part has an option of that name: itself, or one level below."""
    inside = [
        f"{field}.{name}"
        for field, info in part.model_fields.items()
        for choice in _models(info.annotation)
        if name in choice.model_fields and name != "kind"
    ]
    return [name, *inside] if name in part.model_fields else inside


def _models(annotation: Any) -> list[type[BaseModel]]:
    """All models in an annotation, through unions, `Annotated` and containers."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is Literal:
        return []
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _walk(
    model: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[type[BaseModel] | None, list[type[BaseModel]], list[str]]:
    """The model that owns the last key of a location, its siblings, and the path as written.

    Pydantic names the chosen kind of a union as a step of its own; a user does not write it.
    """
    owner: type[BaseModel] | None = None
    candidates, siblings, path = [model], [model], []
    for entry in location:
        tagged = [part for part in candidates if entry in _kinds(part)]
        if len(candidates) > 1 and tagged:
            siblings, candidates = candidates, tagged
            continue
        if isinstance(entry, str) and entry in {part.__name__ for part in candidates}:
            candidates = [part for part in candidates if part.__name__ == entry]
            continue
        owner = candidates[0] if len(candidates) == 1 else None
        path.append(str(entry))
        fields = owner.model_fields if owner else {}
        if entry in fields:
            siblings = candidates = _models(fields[str(entry)].annotation)
    return owner, siblings, path


def _kinds(part: type[BaseModel]) -> tuple[Any, ...]:
    kind = part.model_fields.get("kind")
    return () if kind is None else get_args(kind.annotation)
