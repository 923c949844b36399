"""The sets of weights in a checkpoint, such as the last weights and their average."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from odenet.errors import CheckpointError

PARALLEL = "module."
"""Prefix of all names by PyTorch's wrapper for several devices."""

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "params", "weights")
AVERAGED = ("ema", "swa", "averag")
"""Words in the keys of averaged weights."""
_DEEPEST = 3

Item = TypeVar("Item")


def find_sets(tree: Any, is_array: Callable[[Any], bool]) -> dict[str, dict[str, Any]]:
    """The dicts of named arrays in a checkpoint, by their dotted keys.

    These are the dicts under the usual keys (`state_dict`, `model`, ...) and those of averaged
    weights (`ema_state_dict`, `params_ema`, ...). Without any of them, it is the checkpoint itself,
    with the name `""`, if it holds arrays; otherwise all other dicts of arrays. Moments of
    optimisers are left out.

    Args:
        tree: The object of the file.
        is_array: Whether a value is an array.

    Raises:
        CheckpointError: if there is none.
    """
    if not isinstance(tree, Mapping):
        raise CheckpointError(f"it must hold a state dict; got a {type(tree).__name__}")
    found = dict(_below(tree, "", is_array, 0))
    usual = {path: arrays for path, arrays in found.items() if _is_usual(path)}
    if not found:
        raise CheckpointError(
            f"it must hold a state dict, tensors by name; got {_shown(list(tree))} without any; a "
            f"state dict in a checkpoint is looked up under {', '.join(_WRAPPERS[:4])} and others"
        )
    return usual or ({"": found[""]} if "" in found else found)


def chosen(sets: Mapping[str, Item], name: str | None) -> Item:
    """The set of a name, or the only set.

    Args:
        sets: Sets by name, at least one.
        name: The name, or None for the only set.

    Raises:
        CheckpointError: if there is no such set, or there are several and none is chosen.
    """
    listed = ", ".join(name or "(the file itself)" for name in sets)
    if name is None:
        if len(sets) > 1:
            raise CheckpointError(
                f"one set of weights is needed; got {len(sets)} sets in the file: {listed}; "
                f"choose one by --set, such as --set {next(iter(sets))}"
            )
        return next(iter(sets.values()))
    if name not in sets:
        raise CheckpointError(
            f"--set must be a set of weights in the file, {listed}, or a prefix of names in one of "
            f"them; got {name!r}"
        )
    return sets[name]


def _is_usual(path: str) -> bool:
    last = path.rsplit(".", 1)[-1].lower()
    return last in _WRAPPERS or any(word in last for word in AVERAGED)


def _below(tree: Mapping[Any, Any], path: str, is_array: Callable[[Any], bool], depth: int):
    arrays = {name: value for name, value in tree.items() if is_array(value)}
    if arrays:
        for name in arrays:
            if not isinstance(name, str) or not name.isprintable():
                raise CheckpointError(f"a state dict holds tensors by name; got {name!r}")
        yield path, arrays
    if depth < _DEEPEST:  # moments of optimisers, which are not weights, are excluded
        for key, value in tree.items():
            if isinstance(value, Mapping) and isinstance(key, str) and _may_hold(key):
                inner = f"{path}.{key}" if path else key
                yield from _below(value, inner, is_array, depth + 1)


def _may_hold(key: str) -> bool:
    return key.isprintable() and "optim" not in key.lower()


def _shown(keys: list[Any]) -> str:
    names = [repr(key) if isinstance(key, (str, int)) else type(key).__name__ for key in keys]
    return ", ".join(names[:10]) + (" ..." if len(names) > 10 else "") or "an empty one"
