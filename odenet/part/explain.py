"""Validation errors in terms of the experiment file: key, given value, valid values."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from odenet.part.kinds import all_parts, kinds_of
from odenet.part.places import Place, option_names, places

_SHOWN = 4

_UNION_STEP = re.compile(
    r"(\[key\]|int|float|bool|str|path|constrained-(str|int|float)|(function-(before|after|wrap|plain)|"
    r"literal|tuple|list|dict|nullable|lax-or-strict|json-or-python|is-instance)\[.*)$"
)
"""Entries of a pydantic location that are no keys: the union member under validation."""

_QUOTE = (
    "text is needed, but YAML reads {read} there; put it in quotes: {name}: '...' in a file, "
    "\"{key}='...'\" on the command line"
)


class NotANumber:
    """Marks a value that Python would convert to a number and that is refused as one."""

    def __init__(self, value: bool | str):
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)

    @property
    def reason(self) -> str:
        """The reason for the refusal, and the remedy."""
        if isinstance(self.value, bool):
            return (
                f"a number is needed; got {str(self.value).lower()}, a boolean (YAML reads yes, "
                f"no, on, off, true and false as booleans)"
            )
        number = self.value.lstrip("+-").lstrip("0") or "0"
        return f"a number is needed; got {self.value!r}, which starts with 0; write {number}"


def nearest(given: str, valid: Iterable[str]) -> str:
    """The two nearest valid names, `nearest: a, b`; all valid names if none is near."""
    names = sorted(set(valid))
    if not names:
        return "there is none"
    close = difflib.get_close_matches(given, names, n=2, cutoff=0.5)
    if close:
        return f"nearest: {', '.join(close)}"
    return f"valid: {', '.join(names)}"


def explain(model: type[BaseModel], error: ValidationError, where: str, values: Any = None) -> str:
    """An error message of a few lines: each key of `where` with the rule that it breaks.

    Args:
        model: The model that was validated.
        error: The validation error of pydantic.
        where: File or object that was validated.
        values: The validated mapping. Suggested paths follow the kinds in it.
    """
    found = error.errors()
    inner = [details["loc"] for details in found]
    # Pydantic reports the container of a wrong element too; the element alone is reported.
    found = [
        details
        for details in found
        if not any(
            len(loc) > len(details["loc"]) and loc[: len(details["loc"])] == details["loc"]
            for loc in inner
        )
    ]
    lines = list(dict.fromkeys(_line(model, details, values) for details in found))
    more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    if len(lines) == 1:
        return f"{where}: {lines[0]}"
    return "\n".join([f"{where}:", *lines[:_SHOWN], *more])


def _line(model: type[BaseModel], details: Any, values: Any) -> str:
    owner, siblings, path = _walk(model, details["loc"])
    key, given = ".".join(path), details["input"]
    if isinstance(given, NotANumber):
        return f"{key}: {given.reason}"
    match details["type"]:
        case "extra_forbidden":
            return _unknown_key(model, owner, siblings, path, values)
        case "union_tag_invalid":
            tag = str(details["ctx"]["tag"])
            known = nearest(tag, _tags(details))
            own = "" if known.startswith("nearest") else "; --plugin FILE adds your own kinds"
            return f"{key}.kind={tag} does not exist; {known}{own}"
        case "union_tag_not_found":
            kinds = _kinds(siblings)
            return f"{key} needs a `kind`" + (f", one of {', '.join(kinds)}" if kinds else "")
        case "missing":
            return f"{key} is required"
        case "value_error":
            rule = str(details["ctx"]["error"])
            return f"{key}: {rule}" if key else rule
        case "literal_error":
            expected = details["ctx"]["expected"].replace(" or ", ", ").split(", ")
            valid = [name.strip("'") for name in expected]
            return f"{key}={_shown(given)} is not one of its values; {nearest(str(given), valid)}"
        case "string_type" | "path_type" if given is None or isinstance(given, (bool, int, float)):
            name = key.rpartition(".")[2]
            return f"{key}: {_QUOTE.format(read=_read_as(given), name=name, key=key)}"
        case "tuple_type" | "list_type":
            return f"{key}: a list is needed{_list_like(given)}; got {_shown(given)}"
        case "dict_type" | "model_type" | "model_attributes_type":
            kinds = _kinds(siblings)
            named = f" or one of its kinds ({', '.join(kinds)})" if kinds else ""
            return f"{key}: a mapping of options{named} is needed; got {_shown(given)}"
        case "bool_type" | "bool_parsing":
            return f"{key}: true or false is needed; got {_shown(given)}"
        case "too_short":
            least = details["ctx"]["min_length"]
            return f"{key}: at least {least} {_elements(given)} needed; got {_shown(given)}"
        case _:
            return f"{key}: {details['msg'][0].lower()}{details['msg'][1:]}; got {_shown(given)}"


def _tags(details: Any) -> list[str]:
    return [tag.strip(" '") for tag in details["ctx"]["expected_tags"].split(",")]


def _shown(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 160 else f"{text[:120]} ... ({len(text)} characters)"


def _kinds(parts: list[type[BaseModel]]) -> list[str]:
    return list(dict.fromkeys(str(kind) for part in parts for kind in kinds_of(part)))


def _read_as(given: Any) -> str:
    if given is None:
        return "nothing (null)"
    if isinstance(given, bool):
        return f"the boolean {str(given).lower()}"
    return f"the number {given!r}"


def _list_like(given: Any) -> str:
    if isinstance(given, dict):
        pairs = ", ".join(f"{name}: {value}" for name, value in given.items())
        shown = f"[{{{pairs}}}]"
    elif isinstance(given, (bool, int, float, str)):
        shown = f"[{given}]"
    else:
        return ""
    return f", such as {shown}" if len(shown) <= 60 else ""


def _elements(given: Any) -> str:
    return "entry is" if isinstance(given, dict) else "element is"


def _unknown_key(
    model: type[BaseModel],
    owner: type[BaseModel] | None,
    siblings: list[type[BaseModel]],
    path: list[str],
    values: Any,
) -> str:
    name, parent = path[-1], ".".join(path[:-1])
    line = f"unknown key {'.'.join(path)}"
    if owner is None:
        return line
    if "kind" in owner.model_fields:
        line += f": {parent}.kind={'|'.join(map(str, kinds_of(owner)))} has no {name}"
    if own := places(owner, name, _at(values, path[:-1])):
        return f"{line}; it belongs to {_said(own[0], parent)}"
    others = [place for part in siblings if part is not owner for place in places(part, name)]
    if others:
        best = min(others, key=lambda place: place.cost)
        part = next(one for one in siblings if best in places(one, name))
        kinds = "|".join(map(str, kinds_of(part)))
        return f"{line}; it belongs to {parent}.kind={kinds}, as {_said(best, parent)}"
    return f"{line}; {_elsewhere(model, owner, name, values)}"


def _elsewhere(model: type[BaseModel], owner: type[BaseModel], name: str, values: Any) -> str:
    """The path or nearest name of an option that no kind of the given part has."""
    own = list(owner.model_fields)
    if not difflib.get_close_matches(name, own, n=1, cutoff=0.8) and (
        found := places(model, name, values)
    ):
        return f"it belongs to {_said(found[0], '')}"
    close = nearest(name, own)
    alike = difflib.get_close_matches(name, option_names(model), n=1, cutoff=0.8)
    if close.startswith("nearest") or not alike:
        return close
    return f"nearest: {_said(places(model, alike[0], values)[0], '')}"


def _said(place: Place, parent: str) -> str:
    key = f"{parent}.{place.path}" if parent else place.path
    if place.kind_at is None:
        return key
    kind_at = f"{parent}.{place.kind_at}" if parent else place.kind_at
    return f"{key} (with {kind_at}.kind={place.kind})" if place.kind else key


def _at(values: Any, path: list[str]) -> Any:
    for name in path:
        if isinstance(values, dict):
            values = values.get(name)
        elif isinstance(values, (list, tuple)) and name.isdigit() and int(name) < len(values):
            values = values[int(name)]
        elif isinstance(values, BaseModel):
            values = getattr(values, name, None)
        else:
            return None
    return values


def _walk(
    model: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[type[BaseModel] | None, list[type[BaseModel]], list[str]]:
    """The model that owns the last key of a location, its siblings, and the path in the file.

    Pydantic adds the chosen kind of a union to the location; the path leaves it out.
    """
    owner: type[BaseModel] | None = None
    candidates, siblings, path = [model], [model], []
    for entry in location:
        tagged = [part for part in candidates if entry in kinds_of(part)]
        if len(candidates) > 1 and tagged:
            siblings, candidates = candidates, tagged
            continue
        if isinstance(entry, str) and entry in {part.__name__ for part in candidates}:
            candidates = [part for part in candidates if part.__name__ == entry]
            continue
        is_field = any(entry in part.model_fields for part in candidates)
        if isinstance(entry, str) and not is_field and path and _UNION_STEP.match(entry):
            continue
        owner = candidates[0] if len(candidates) == 1 else None
        path.append(str(entry))
        fields = owner.model_fields if owner else {}
        if entry in fields:
            siblings = candidates = list(all_parts(fields[str(entry)].annotation))
    return owner, siblings, path
