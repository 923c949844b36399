"""Overrides `dotted.key=value`: set a value of an experiment, replace a part, extend a list."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter

from odenet.errors import ConfigError
from odenet.experiment.values import to_values
from odenet.experiment.yaml_text import read
from odenet.part import PartConfig
from odenet.part.kinds import chosen, default_of, direct_parts, element, item, kinds_of
from odenet.part.old_keys import warn_of_old_key, with_new_names

Overrides = str | Mapping[str, Any] | Sequence[str | tuple[str, Any]]
"""Overrides of an experiment: `dotted.key=value` as on the command line, one or a sequence, or a
mapping from dotted keys to values. A mapping as value replaces the old value. A key that ends in
`+` appends to a list."""


def override_pairs(overrides: Overrides) -> list[tuple[str, Any]]:
    """Dotted keys and values of overrides in any form.

    Raises:
        ConfigError: if one is neither `dotted.key=value` nor a pair of key and value.
    """
    if isinstance(overrides, str):
        overrides = [overrides]
    given = overrides.items() if isinstance(overrides, Mapping) else overrides
    pairs = [parse_override(one) if isinstance(one, str) else one for one in given]
    for pair in pairs:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):
            raise ConfigError(
                f"an override is dotted.key=value, or a mapping from dotted keys to values, such "
                f"as {{'training.num_steps': 100}}; got {pair!r}"
            )
    return pairs


def parse_override(text: str) -> tuple[str, Any]:
    """Key and value of `dotted.key=value` or `dotted.key+=value`, with the value in YAML.

    Raises:
        ConfigError: if there is no `=`, or the value is not YAML.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip("+"):
        raise ConfigError(
            f"an override is dotted.key=value, such as training.num_steps=100; got {text!r}"
        )
    try:
        return key, read(value, f"override {_shown(text)}")
    except ConfigError as error:
        if "not YAML" not in str(error):
            raise
        raise ConfigError(f"override {_shown(text)}: the value is not YAML") from error


def apply(
    model: type[BaseModel], values: Mapping[str, Any], overrides: Sequence[tuple[str, Any]]
) -> dict[str, Any]:
    """A copy of nested values with overrides applied in order.

    If an override sets another `kind`, options of the old kind at their defaults are removed.

    Args:
        model: The configuration class of the values.
        values: Nested mappings and lists.
        overrides: Pairs of dotted key and value.

    Raises:
        ConfigError: if a key does not exist, or a `kind` changes beside options of the old kind.
    """
    tree = _copy(dict(values))
    for key, value in overrides:
        _set(model, tree, key, _copy(value))
    return tree


def _set(model: type[BaseModel], tree: dict[str, Any], key: str, value: Any) -> None:
    names = re.sub(r"\[(\d+)\]", r".\1", key.removesuffix("+")).split(".")
    if not all(names):
        raise _no_place(key, value, f"{key!r} has an empty name")
    here: Any = tree
    owners, annotation, default = [model], None, None
    for depth, name in enumerate(names[:-1]):
        annotation, default = _inside(owners, annotation, name)
        there = _get(here, name, key, value)
        if isinstance(there, str) and direct_parts(annotation) and "${" not in there:
            there = {"kind": there}  # a bare kind gets options
        elif there is None:
            there = {}
        elif not isinstance(there, (dict, list)):
            path = ".".join(names[: depth + 1])
            raise _no_place(key, value, f"{path} is {there!r}, which has no {names[depth + 1]}")
        _put(here, name, there, key, value)
        owners, here = chosen(annotation, there, default), there
    last = _in_new_spelling(owners, here, names, value)
    if key.endswith("+"):
        annotation, default = _inside(owners, annotation, last)
        value = _extended(_get(here, last, key, value), default, key, value)
    elif last == "kind" and isinstance(here, dict) and isinstance(value, str):
        parent = ".".join(names[:-1])
        _leave_kind(
            chosen(annotation, here, default), direct_parts(annotation), here, value, parent
        )
    _put(here, last, value, key, value)


def _in_new_spelling(owners: list[type[BaseModel]], here: Any, names: list[str], value: Any) -> str:
    """The last name of an override in its new spelling; also renames the options beside it.

    Otherwise an option could be present in both spellings.
    """
    last = names[-1]
    if len(owners) != 1 or not isinstance(here, dict) or not issubclass(owners[0], PartConfig):
        return last
    renamed = owners[0].renamed_keys
    written = with_new_names(here, renamed, owners[0].renamed_values)
    here.clear()
    here.update(written)
    if last not in renamed:
        return last
    old, new = ".".join(names), ".".join([*names[:-1], renamed[last]])
    warn_of_old_key(f"{old}={value}", f"{new}={value}")
    return renamed[last]


def _inside(owners: list[type[BaseModel]], annotation: Any, name: str) -> tuple[Any, Any]:
    """The annotation and default of a name in parts, or in a list or mapping."""
    fields = [owner.model_fields[name] for owner in owners if name in owner.model_fields]
    if fields:
        return fields[0].annotation, default_of(fields[0])
    if annotation is None or owners:
        return None, None
    return (element(annotation) if _position(name) is not None else item(annotation)), None


def _leave_kind(
    old: list[type[BaseModel]],
    parts: list[type[BaseModel]],
    here: dict[str, Any],
    kind: str,
    parent: str,
) -> None:
    """Remove the options of the old kind that are at their defaults."""
    new = [part for part in parts if kind in kinds_of(part)]
    if len(old) != 1 or not new or old == new:
        return
    left = []
    for name in [name for name in here if name != "kind"]:
        field = old[0].model_fields.get(name)
        if field is None:
            continue
        if not field.is_required() and _equals(field.annotation, here[name], field.default):
            del here[name]
        elif name not in new[0].model_fields:
            left.append(f"{name}: {_shown(str(here[name]), 40)}")
    if left:
        was = here.get("kind") or next(iter(kinds_of(old[0])), "")
        name = parent.rpartition(".")[2]
        raise ConfigError(
            f"{parent}.kind={kind} has no {', '.join(left)}, which {name} has of kind={was}; to "
            f"drop these options, write {parent}={{kind: {kind}}}"
        )


def _equals(annotation: Any, value: Any, default: Any) -> bool:
    if isinstance(default, BaseModel) and isinstance(value, Mapping) and "kind" not in value:
        own = type(default)
        annotation, value = own, dict(value)
    try:
        return TypeAdapter(annotation).validate_python(value) == default
    except ValueError:
        return value == default


def _extended(there: Any, default: Any, key: str, value: Any) -> list[Any]:
    if there is None:
        there = list(default) if isinstance(default, (list, tuple)) else []
    if not isinstance(there, list):
        name = key.removesuffix("+")
        what = "a mapping" if isinstance(there, dict) else repr(there)
        raise _no_place(key, value, f"{name} is {what}, which is no list; set it with {name}=")
    return [*there, value]


def _get(here: Any, name: str, key: str, value: Any) -> Any:
    if isinstance(here, dict):
        return here.get(name)
    return here[_index(here, name, key, value)]


def _put(here: Any, name: str, new: Any, key: str, value: Any) -> None:
    if isinstance(here, dict):
        here[name] = new
    else:
        here[_index(here, name, key, value)] = new


def _index(here: list[Any], name: str, key: str, value: Any) -> int:
    index = _position(name)
    if index is None:
        raise _no_place(key, value, f"{name!r} is no position in a list of {len(here)}")
    if not -len(here) <= index < len(here):
        count = f"there {'is' if len(here) == 1 else 'are'} {len(here)}, counted from 0"
        rule = f"list index out of range: {count}; to append, end the key of the list in +="
        raise _no_place(key, value, f"{rule}, such as model.stages+={{width: 64}}")
    return index


def _position(name: str) -> int | None:
    return int(name) if re.fullmatch(r"-?\d+", name) else None


def _no_place(key: str, value: Any, rule: str) -> ConfigError:
    return ConfigError(
        f"override {_shown(f'{key}={value}')}: {rule}; a key is a path of names and list "
        f"positions, such as model.stages.0.width"
    )


def _shown(text: str, most: int = 120) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _copy(value: Any) -> Any:
    if isinstance(value, PartConfig):
        return to_values(value)
    if isinstance(value, Mapping):
        return {str(key): _copy(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copy(inner) for inner in value]
    return value
