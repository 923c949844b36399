"""Matching of the names of a file with those of a map: removal of prefixes of wrappers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from odenet.models.pretrained.torch_file import Arrays
from odenet.models.pretrained.weight_map import WeightMap

_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Parts of names that PyTorch's wrappers add, at the start or in the middle: `DataParallel`,
`compile`, `FullyShardedDataParallel` and `checkpoint_wrapper`."""


@dataclass(frozen=True)
class Matched:
    """The arrays of a file by the names of the map.

    Args:
        arrays: All arrays.
        stripped: The removed prefix, such as `module.`, or the removed parts of wrappers; empty if
            nothing was removed.
    """

    arrays: Arrays
    stripped: str


def match_names(arrays: Arrays, weight_map: WeightMap) -> Matched:
    """Remove a common prefix of all names, if the map knows more names without it.

    Names are changed only if this increases the number of known names. Prefixes may be nested
    (`module.encoder_q.`). Arrays that the map ignores need not have the prefix.

    Args:
        arrays: Arrays of the file by name.
        weight_map: The map of names.
    """
    wanted = {entry.foreign for entry in weight_map.entries}
    best, most = Matched(arrays, ""), len(wanted & arrays.keys())
    for candidate in _candidates(arrays, weight_map):
        known = len(wanted & candidate.arrays.keys())
        if known > most:
            best, most = candidate, known
    return best


def common_prefixes(names: list[str]) -> list[str]:
    """Every dotted prefix that all names share, the shortest first: `a.`, `a.b.`."""
    if not names:
        return []
    shared = []
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return [".".join(shared[: i + 1]) + "." for i in range(len(shared))]


def prefixes_with(wanted: set[str], names: Mapping[str, object]) -> list[str]:
    """The prefixes under which `names` contains all wanted names."""
    one = min(wanted, default="")
    found = {name.removesuffix(one) for name in names if one and name.endswith("." + one)}
    return sorted(prefix for prefix in found if all(prefix + name in names for name in wanted))


def _candidates(arrays: Arrays, weight_map: WeightMap) -> Iterator[Matched]:
    yield from _without_prefixes(arrays, weight_map, "")
    unwrapped = {_unwrapped(name): array for name, array in arrays.items()}
    if len(unwrapped) == len(arrays):
        said = " and ".join(f"`{part}.`" for part in _WRAPPERS if _has_part(arrays, part))
        yield Matched(unwrapped, said)
        yield from _without_prefixes(unwrapped, weight_map, said)


def _without_prefixes(arrays: Arrays, weight_map: WeightMap, before: str) -> Iterator[Matched]:
    used = [name for name in arrays if not weight_map.ignores(name)]
    for prefix in common_prefixes(used):
        stripped = {name.removeprefix(prefix): array for name, array in arrays.items()}
        if len(stripped) == len(arrays):
            yield Matched(stripped, f"{before} and `{prefix}`" if before else f"`{prefix}`")


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _has_part(names: Mapping[str, object], part: str) -> bool:
    return any(part in name.split(".") for name in names)
