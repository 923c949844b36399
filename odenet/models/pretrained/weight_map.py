"""Maps between the arrays of another framework and ours, with their layouts; both directions."""

import fnmatch
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Shaped

from odenet.models.pretrained.misfits import Hints, Misfits

Shape = tuple[int, ...]
Layout = Literal["same", "conv", "linear"]
"""`conv`: kernels OIHW in the file, HWIO in our model. `linear`: matrices (out, in) in the file,
(in, out) in our model."""

_NOTHING_LOADED = "weights must fit the model entirely; nothing was loaded"
_TO_OURS: Mapping[str, Shape] = {"conv": (2, 3, 1, 0), "linear": (1, 0)}
_TO_FOREIGN: Mapping[str, Shape] = {"conv": (3, 2, 0, 1), "linear": (1, 0)}
UNUSED_BY_US = ("num_batches_tracked", "*.num_batches_tracked", "n_averaged", "*.n_averaged")
"""Counters of PyTorch's batch norms and averaged models."""


@dataclass(frozen=True)
class WeightEntry:
    """One array of a file and its path in the model.

    Args:
        foreign: Name in the file.
        ours: Dotted path of the array in the model; numbers are positions in a list.
        layout: Difference of the axes.
        layer: Position along the leading axis of our array, if it stacks the arrays of several
            layers; None for the whole array.
    """

    foreign: str
    ours: str
    layout: Layout = "same"
    layer: int | None = None


@dataclass(frozen=True)
class WeightMap:
    """A map of names: its entries, and the ignored names of the file.

    Args:
        entries: One for each array of the file that is used.
        ignored: Names, or patterns with `*`, of arrays that the file may hold and that are not
            used.
    """

    entries: tuple[WeightEntry, ...]
    ignored: tuple[str, ...] = UNUSED_BY_US

    def ignores(self, name: str) -> bool:
        """Whether an array of that name is ignored."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.ignored)

    def for_flax(self) -> "WeightMap":
        """The map for a file whose arrays have our layout, such as a file of Flax."""
        entries = (WeightEntry(e.foreign, e.ours, "same", e.layer) for e in self.entries)
        return WeightMap(tuple(entries), self.ignored)

    def our_shape(self, ours: str, foreign: Mapping[str, Shape]) -> Shape | None:
        """The shape of our array by the arrays of a file; None if the file lacks the array.

        Args:
            ours: Dotted path of our array; it must be mapped as a whole.
            foreign: Shapes of the file by name.
        """
        for entry in self.entries:
            shape = foreign.get(entry.foreign)
            if entry.ours == ours and shape is not None:
                axes = _TO_OURS.get(entry.layout, tuple(range(len(shape))))
                if len(axes) == len(shape):
                    return tuple(shape[axis] for axis in axes)
        return None


def flatten(tree: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves of a nested dict by dotted path, as in `WeightEntry.ours`."""
    leaves = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        leaves |= flatten(value, f"{path}.") if isinstance(value, Mapping) else {path: value}
    return leaves


def shapes_of(tree: Mapping[Any, Any]) -> dict[str, Shape]:
    """Shapes by dotted path of a nested dict of arrays, such as `nnx.to_pure_dict(state)`."""
    return {path: tuple(array.shape) for path, array in flatten(tree).items()}


def convert(
    foreign: Mapping[str, Shaped[np.ndarray, "..."]],
    weight_map: WeightMap,
    expected: Mapping[str, Shape],
    dtype: Any = np.float32,
    hints: Hints | None = None,
    verbose: bool = True,
) -> dict[str | int, Any]:
    """Our arrays from those of a file: all of them, or an error that lists the misfits.

    Args:
        foreign: Arrays of the file by name.
        weight_map: The map of names.
        expected: Shape of every array of the model, by dotted path: `shapes_of`.
        dtype: Type of the returned arrays.
        hints: Returns likely causes of misfits, which the error names first.
        verbose: Whether an error lists all misfits, or the first of each kind.

    Returns:
        Nested dict of new arrays, with lists as dicts by position, like `nnx.to_pure_dict(state)`.

    Raises:
        CheckpointError: if an array is missing, extra or misshapen, or the map does not fit the
            model; the message lists every misfit, with expected and given shapes.
    """
    plan = _Plan(weight_map, expected)
    misfits = plan.misfits
    known = {entry.foreign for entry, _ in plan.pairs}
    for name, array in foreign.items():
        if name not in known and not weight_map.ignores(name):
            misfits.extra.append(f"{name} {array.shape}")
            misfits.extra_names.append(name)
    for entry, shape in plan.pairs:
        array = foreign.get(entry.foreign)
        if array is None:
            misfits.missing.append(f"{entry.foreign} {shape}, for {entry.ours}")
            misfits.missing_names.append(entry.foreign)
        elif array.shape != shape:
            misfits.misshapen.append(f"{entry.foreign}: expected {shape}, got {array.shape}")
        elif not _is_real(array.dtype):
            misfits.misshapen.append(f"{entry.foreign}: expected real numbers, got {array.dtype}")
    misfits.refuse(_NOTHING_LOADED, hints, verbose=verbose)
    filled = {path: np.empty(shape, dtype) for path, shape in expected.items()}
    for entry, _ in plan.pairs:
        array = foreign[entry.foreign]
        axes = _TO_OURS.get(entry.layout)
        target = filled[entry.ours]
        where = ... if entry.layer is None else entry.layer
        target[where] = array if axes is None else array.transpose(axes)
    return _nest(filled)


def export(ours: Mapping[Any, Any], weight_map: WeightMap) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Arrays by the names of another framework, in its layout: the inverse of `convert`.

    Args:
        ours: Nested dict of our arrays.
        weight_map: The map of names.

    Returns:
        New contiguous arrays, of the types in `ours`.

    Raises:
        CheckpointError: if one of our arrays has no name, or an entry has no array of ours; the
            message lists all of them.
    """
    arrays = {path: np.asarray(array) for path, array in flatten(ours).items()}
    plan = _Plan(weight_map, {path: array.shape for path, array in arrays.items()})
    plan.misfits.refuse("the names must be those of the network; nothing was exported")
    named = {}
    for entry, _ in plan.pairs:
        array = arrays[entry.ours]
        array = array if entry.layer is None else array[entry.layer]
        axes = _TO_FOREIGN.get(entry.layout)
        named[entry.foreign] = np.array(array if axes is None else array.transpose(axes), order="C")
    return named


@dataclass
class _Plan:
    """The entries of a map with the shapes required of the file, and all misfits."""

    weight_map: WeightMap
    expected: Mapping[str, Shape]
    pairs: list[tuple[WeightEntry, Shape]] = field(default_factory=list)
    misfits: Misfits = field(default_factory=Misfits)

    def __post_init__(self):
        unmapped = self.misfits.unmapped
        layers: dict[str, list[int | None]] = {}
        for entry in self.weight_map.entries:
            layers.setdefault(entry.ours, []).append(entry.layer)
            shape = self.expected.get(entry.ours)
            if shape is None:
                unmapped.append(f"{entry.foreign} is mapped to {entry.ours}, not in the model")
            elif (foreign := _foreign_shape(entry, shape)) is None:
                unmapped.append(
                    f"{entry.foreign} is mapped with layout {entry.layout} and layer {entry.layer} "
                    f"to {entry.ours} of shape {shape}"
                )
            else:
                self.pairs.append((entry, foreign))
        for path, shape in self.expected.items():
            given = layers.get(path, [])
            every = list(range(shape[0])) if shape else []
            if given != [None] and (not given or sorted(map(_number, given)) != every):
                whole = f"{path} of shape {shape} must be mapped once, as a whole"
                stacked = f", or once for each of the layers 0 to {len(every) - 1}" if every else ""
                got = f"layers {', '.join(map(str, given))}" if given else "nothing"
                unmapped.append(f"{whole}{stacked}; got {got}")
        counts = Counter(entry.foreign for entry in self.weight_map.entries)
        unmapped += [f"{name} is mapped {n} times" for name, n in counts.items() if n > 1]


def _number(layer: int | None) -> int:
    return -1 if layer is None else layer


def _foreign_shape(entry: WeightEntry, shape: Shape) -> Shape | None:
    """The shape required of the file; None if the entry does not fit our `shape`."""
    if entry.layer is not None:
        if not shape or not 0 <= entry.layer < shape[0]:
            return None
        shape = shape[1:]
    axes = _TO_FOREIGN.get(entry.layout)
    if axes is None:
        return shape
    return tuple(shape[axis] for axis in axes) if len(axes) == len(shape) else None


def _is_real(dtype: np.dtype) -> bool:
    # numpy does not count the bfloat16 of ml_dtypes among its floating types.
    return np.issubdtype(dtype, np.floating) or dtype.name == "bfloat16"


def _nest(flat: Mapping[str, Any]) -> dict[str | int, Any]:
    tree: dict[str | int, Any] = {}
    for path, leaf in flat.items():
        *parents, last = (int(key) if key.isdecimal() else key for key in path.split("."))
        branch = tree
        for key in parents:
            branch = branch.setdefault(key, {})
        branch[last] = leaf
    return tree
