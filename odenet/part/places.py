"""Where in a configuration an option of some name belongs."""

import dataclasses
import heapq
from typing import Any

from pydantic import BaseModel

from odenet.part.kinds import all_parts, chosen, default_of, direct_parts, element, kinds_of

_OTHER_KIND, _UNUSED, _IN_LIST = 8, 3, 2
"""What makes a place rarer than one level of depth does: a kind that is not chosen, a part that is
absent unless asked for, one of the elements of a list."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where an option belongs.

    Attributes:
        path: Its dotted key, from the part that was searched.
        owner: The part that has the option.
        kind_at: Key of the part whose kind has to be another for it, or None.
        kind: That other kind; one of them, if several will do, or the empty text.
        cost: How deep and rare the place is.
    """

    path: str
    owner: type[BaseModel]
    kind_at: str | None
    kind: str
    cost: int


def places(part: type[BaseModel], name: str, value: Any = None) -> list[Place]:
    """Where a part, or a part of it, has an option; what is common stands before what is rare.

    Args:
        part: The configuration to search.
        name: The option.
        value: What is configured there, a mapping or a part: its kinds are the common ones.
    """
    found: list[Place] = []
    seen: set[type[BaseModel]] = set()
    start = Place("", part, None, "", 0)
    queue: list[tuple[int, int, Place, Any]] = [(0, 0, start, value)]
    counter = 0
    while queue:
        cost, _, here, there = heapq.heappop(queue)
        if here.owner in seen:
            continue
        seen.add(here.owner)
        if name in here.owner.model_fields:
            found.append(dataclasses.replace(here, path=_joined(here.path, name), cost=cost))
        for child, inner in _children(here, there, cost):
            counter += 1
            heapq.heappush(queue, (child.cost, counter, child, inner))
    return found


def _children(here: Place, there: Any, cost: int) -> list[tuple[Place, Any]]:
    children = []
    for field, info in here.owner.model_fields.items():
        annotation, default = info.annotation, default_of(info)
        value = _value(there, field)
        path, extra = _joined(here.path, field), 1
        if value is None and default is None and not info.is_required():
            extra += _UNUSED
        if not direct_parts(annotation) and (inner := element(annotation)) is not None:
            annotation, default, path, extra = inner, None, f"{path}.0", extra + _IN_LIST
            value = value[0] if isinstance(value, (list, tuple)) and value else None
        common = chosen(annotation, value, default)
        if len(common) == len(direct_parts(annotation)):
            common = common[:1]  # nothing says which: the first that is offered
        for part in direct_parts(annotation):
            place = Place(path, part, here.kind_at, here.kind, cost + extra)
            if part not in common:
                place = dataclasses.replace(
                    place,
                    kind_at=path,
                    kind=str(next(iter(kinds_of(part)), "")),
                    cost=place.cost + _OTHER_KIND,
                )
            children.append((place, value))
    return children


def _value(there: Any, field: str) -> Any:
    if isinstance(there, dict):
        return there.get(field)
    return getattr(there, field, None) if isinstance(there, BaseModel) else None


def _joined(*names: str) -> str:
    return ".".join(name for name in names if name)


def option_names(part: type[BaseModel]) -> set[str]:
    """The names of all options of a configuration and of its parts."""
    seen: set[type[BaseModel]] = set()
    waiting = [part]
    while waiting:
        if (one := waiting.pop()) in seen:
            continue
        seen.add(one)
        for field in one.model_fields.values():
            waiting.extend(all_parts(field.annotation))
    return {name for one in seen for name in one.model_fields if name != "kind"}
