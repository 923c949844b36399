"""Families of parts: an abstract config is contract and annotation; each subclass is a kind.

`class VectorFieldConfig(PartConfig, abc.ABC, family="field")` makes a family. Its members are all
concrete subclasses with a literal `kind`, in any module. They join when Python defines them. A
subclass without a `kind` is a narrower contract: as an annotation it allows only its own
subclasses.
"""

import contextlib
import functools
import inspect
import operator
import sys
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, Field, TypeAdapter

from odenet.errors import ConfigError

Part = TypeVar("Part", bound=BaseModel)

CONTRACT = "odenet_contract"
"""Key of the contract in the metadata of a core schema."""

_FAMILIES: dict[type[BaseModel], str] = {}
_MEMBERS: list[type[BaseModel]] = []
_GENERATION = 0


def generation() -> int:
    """A counter of changes of the families, for caches."""
    return _GENERATION


def kinds_of(part: type[BaseModel]) -> tuple[Any, ...]:
    """The values of `kind` that choose a part; empty if the part has no `kind`."""
    kind = part.model_fields.get("kind")
    return () if kind is None else get_args(kind.annotation)


def families_of(part: type) -> list[type[BaseModel]]:
    """The roots of the families of a class; a root belongs to its own family."""
    return [root for root in part.__mro__ if root in _FAMILIES]


def is_contract(annotation: Any) -> bool:
    """Whether an annotation is the root of a family, or a narrower contract in one."""
    return (
        isinstance(annotation, type)
        and issubclass(annotation, BaseModel)
        and bool(families_of(annotation))
        and not kinds_of(annotation)
    )


def members_of(contract: type[Part]) -> tuple[type[Part], ...]:
    """The members that derive from a contract, sorted by kind."""
    return _members_of(contract, _GENERATION)  # pyright: ignore[reportReturnType]


@functools.lru_cache(maxsize=256)
def _members_of(contract: type[BaseModel], generation: int) -> tuple[type[BaseModel], ...]:
    del generation
    fulfil = [member for member in _MEMBERS if issubclass(member, contract)]
    return tuple(sorted(fulfil, key=lambda member: str(kinds_of(member)[0])))


def found(root: type[BaseModel], name: str) -> None:
    """Make a class the root of the family `name`."""
    _FAMILIES[root] = name


def join(part: type[BaseModel]) -> None:
    """Add a class to its families if it declares a literal `kind`.

    A class whose file is loaded again replaces its earlier version.

    Raises:
        ConfigError: if the class lacks methods of its contract, or another class has its kind.
    """
    roots = families_of(part)
    if not roots or not kinds_of(part) or "kind" not in inspect.get_annotations(part):
        return
    if missing := sorted(getattr(part, "__abstractmethods__", ())):
        raise ConfigError(
            f"{part.__qualname__} ({file_of(part)}) of kind {kinds_of(part)[0]!r} has no "
            f"{', '.join(missing)}; define the members that {roots[0].__name__} declares"
        )
    for other in [other for other in _MEMBERS if _same_kind(other, part, roots)]:
        if (file_of(other), other.__qualname__) != (file_of(part), part.__qualname__):
            kind = next(kind for kind in kinds_of(part) if kind in kinds_of(other))
            name = next(_FAMILIES[root] for root in roots if issubclass(other, root))
            raise ConfigError(
                f"two kinds of {name} are called {kind!r}: {other.__qualname__} in "
                f"{file_of(other)} and {part.__qualname__} in {file_of(part)}; rename one"
            )
        _MEMBERS.remove(other)
    _MEMBERS.append(part)
    _changed()


def _same_kind(one: type[BaseModel], other: type[BaseModel], roots: list[type[BaseModel]]) -> bool:
    shared = set(kinds_of(one)) & set(kinds_of(other))
    return bool(shared) and any(issubclass(one, root) for root in roots)


def file_of(part: type) -> str:
    """The file that defines a class, or the name of its module if there is no file."""
    module = sys.modules.get(part.__module__)
    return getattr(module, "__file__", None) or part.__module__


def members_from(files: set[str]) -> list[type[BaseModel]]:
    """The members that are defined in `files`."""
    return [member for member in _MEMBERS if file_of(member) in files]


@contextlib.contextmanager
def restored(on_error: bool = False) -> Iterator[None]:
    """A context that restores the families at its end.

    Args:
        on_error: Restore only if an exception ends the context.
    """
    before = list(_MEMBERS)
    try:
        yield
    except BaseException:
        _put_back(before)
        raise
    if not on_error:
        _put_back(before)


def forget(parts: list[type[BaseModel]]) -> None:
    """Remove parts from their families."""
    _put_back([member for member in _MEMBERS if member not in parts])


def _put_back(before: list[type[BaseModel]]) -> None:
    # Python does not load the package's own modules again, so their parts stay.
    own = [part for part in _MEMBERS if part.__module__.partition(".")[0] == "odenet"]
    before = before + [part for part in own if part not in before]
    if before != _MEMBERS:
        _MEMBERS[:] = before
        _changed()


def _changed() -> None:
    global _GENERATION
    _GENERATION += 1


def family_name(contract: type[BaseModel]) -> str:
    """The name of the family of a contract, such as `field`."""
    return _FAMILIES[families_of(contract)[0]]


def adapter_of(contract: type[BaseModel]) -> TypeAdapter:
    """The validator of a mapping with `kind`, by the present members of the contract."""
    return _adapter_of(contract, members_of(contract))


@functools.lru_cache(maxsize=256)
def _adapter_of(contract: type[BaseModel], members: tuple[type[BaseModel], ...]) -> TypeAdapter:
    if not members:
        raise ConfigError(f"there is no {family_name(contract)} that {contract.__name__} allows")
    if len(members) == 1:
        return TypeAdapter(members[0])
    union: Any = functools.reduce(operator.or_, members)
    by_kind: Any = Annotated[union, Field(discriminator="kind")]
    return TypeAdapter(by_kind)


def validated(contract: type[BaseModel], value: Any) -> Any:
    """A part of a contract, from a part object (unchanged) or a mapping with `kind`."""
    if isinstance(value, contract):
        return value
    return adapter_of(contract).validate_python(value)
