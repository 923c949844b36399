"""Search of a configuration for the paths of an option."""

import dataclasses
import heapq
from typing import Any

from pydantic import BaseModel

from odenet.part.kinds import all_parts, chosen, default_of, direct_parts, element, kinds_of

_OTHER_KIND, _UNUSED, _IN_LIST = 8, 3, 2
"""Cost of a step of the search beside 1 for the level: into a kind that is not chosen, into a part
whose default is None, into an element of a list."""


@dataclasses.dataclass(frozen=True)
class Place:
    """The path of an option in a configuration.

    Attributes:
        path: Dotted key of the option, relative to the searched part.
        owner: The part that has the option.
        kind_at: Key of the part whose kind must change for this path to exist, or None.
        kind: The first kind for which the path exists, or the empty text.
        cost: Depth of the path and cost of its steps; low for common options.
    """

    path: str
    owner: type[BaseModel]
    kind_at: str | None
    kind: str
    cost: int


def places(part: type[BaseModel], name: str, value: Any = None) -> list[Place]:
    """The paths of an option in a part and its inner parts, by increasing cost.

    Args:
        part: The configuration to search.
        name: Name of the option.
        value: Present value of the part, a mapping or a part; its kinds count as chosen.
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
            common = common[:1]  # no kind is chosen: take the first
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
    """The names of all options of a configuration and of its parts, without `kind`."""
    seen: set[type[BaseModel]] = set()
    waiting = [part]
    while waiting:
        if (one := waiting.pop()) in seen:
            continue
        seen.add(one)
        for field in one.model_fields.values():
            waiting.extend(all_parts(field.annotation))
    return {name for one in seen for name in one.model_fields if name != "kind"}
