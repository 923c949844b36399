"""Likely causes why a file of weights does not fit, in a few sentences."""

from collections.abc import Iterator, Mapping

from odenet.models.pretrained.foreign_names import Matched, common_prefixes, prefixes_with
from odenet.models.pretrained.misfits import Misfits
from odenet.models.pretrained.resnet_names import ForeignArray, arrays_of
from odenet.models.pretrained.resnet_places import ARCHITECTURES
from odenet.models.pretrained.torch_file import Arrays
from odenet.models.pretrained.weight_map import Shape, WeightMap

_SENTENCES = 3


class Diagnosis:
    """The likely causes of misfits, at most three sentences.

    Args:
        arrays: The arrays of the file by its own names.
        matched: The same arrays by the names that were compared.
        weight_map: The map of names.
    """

    def __init__(self, arrays: Arrays, matched: Matched, weight_map: WeightMap):
        self._arrays = arrays
        self._matched = matched
        self._map = weight_map

    def __call__(self, misfits: Misfits) -> list[str]:
        """The sentences."""
        found = [*self._network(), *self._prefix(), *self._names(misfits)]
        return found[:_SENTENCES]

    def _used(self) -> dict[str, Shape]:
        named = self._matched.arrays.items()
        return {name: tuple(array.shape) for name, array in named if not self._map.ignores(name)}

    def _network(self) -> Iterator[str]:
        shapes = self._used()
        prefixes = common_prefixes(list(shapes))
        for prefix in ["", *prefixes]:
            inner = {name.removeprefix(prefix): shape for name, shape in shapes.items()}
            fitting = fitting_network(inner)
            if fitting is not None:
                yield f"the file fits {fitting}"
                return

    def _prefix(self) -> Iterator[str]:
        if self._matched.stripped:
            yield f"names were compared without {self._matched.stripped}, which all names have"
            return
        prefixes = common_prefixes(list(self._used()))
        wanted = {entry.foreign for entry in self._map.entries}
        inside = prefixes_with(wanted, self._arrays)
        if prefixes:
            yield f"every name has the prefix `{prefixes[-1]}`, but no more names fit without it"
        elif inside:
            chosen = " or ".join(f"--set {prefix[:-1]}" for prefix in inside)
            yield f"the file holds the network under a prefix, and other arrays: choose by {chosen}"

    def _names(self, misfits: Misfits) -> Iterator[str]:
        missing, extra = misfits.missing_names, misfits.extra_names
        wanted = [entry.foreign for entry in self._map.entries]
        last = {e.foreign for e in self._map.entries if e.ours.startswith("head.linear.")}
        if misfits.unmapped or not wanted:
            return
        if len(missing) == len(wanted):
            yield (
                f"none of its names is known, such as {extra[0] if extra else 'none'!r}; known are "
                f"{wanted[0]!r} and others: map the names by --map (see odenet names)"
            )
        elif last and set(missing) == last and not misfits.misshapen:
            others = f", and has {', '.join(sorted(extra)[:2])} in its place" if extra else ""
            yield f"the file lacks only the last layer, {', '.join(sorted(last))}{others}"
        elif not missing and not misfits.misshapen:
            yield f"the file has all arrays of the network, and {len(extra)} more"
        elif not missing and not extra:
            of_all = f"{len(misfits.misshapen)} of {len(wanted)}"
            yield f"all names are known, but {of_all} arrays have another shape: another width?"


def fitting_network(shapes: Mapping[str, Shape]) -> str | None:
    """The published network with arrays of these names and shapes, as options of a command.

    The numbers of classes and of image channels may differ.

    Args:
        shapes: Shapes by name.

    Returns:
        The options; None if no published network fits.
    """
    for name, architecture in ARCHITECTURES.items():
        if _fits(shapes, architecture.arrays(1, 1)):
            return f"--arch {name}"
        if architecture.model.option == "zero_pad":
            projecting = architecture.model.model_copy(
                update={"shortcut": "projection", "zeros": "after"}
            )
            if _fits(shapes, arrays_of(projecting, architecture.last, 1, 1)):
                return f"--arch {name} model.shortcut=projection"
    return None


def _fits(shapes: Mapping[str, Shape], arrays: tuple[ForeignArray, ...]) -> bool:
    if len(shapes) != len(arrays) or any(array.name not in shapes for array in arrays):
        return False
    return all(_alike(shapes[array.name], array) for array in arrays)


def _alike(shape: Shape, array: ForeignArray) -> bool:
    if array.part == "fc":
        return len(shape) == len(array.shape) and shape[1:] == array.shape[1:]
    if array.stage is None and array.part == "conv1":
        return len(shape) == 4 and (shape[0], *shape[2:]) == (array.shape[0], *array.shape[2:])
    return shape == array.shape
