"""Transfer of weights from one network to another.

Networks are dictionaries from path to array, with paths such as `params/head/linear/kernel`.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from odenet.arrays import Array, Float
from odenet.errors import ConfigError

LAST = "head/linear"
"""Path of the head's affine map, below `params`."""

_UNIT, _STEP = "/weights/stacked/branch/", "/weights/stacked/"
_STEM, _STEM_ALONE = "projections/0", "projections/0/operation/stem"

FirstLayer = Literal["keep", "reinitialise", "sum_channels"]
LastLayer = Literal["keep", "reinitialise"]


@dataclasses.dataclass(frozen=True)
class Transfer:
    """A network with weights from another one.

    Attributes:
        arrays: All of its arrays by path.
        transferred: Paths of the arrays from the other network, unchanged or adapted.
        new: Paths of the newly initialised arrays.
    """

    arrays: dict[str, Array | np.ndarray]
    transferred: tuple[str, ...]
    new: tuple[str, ...]


def transfer(
    initialised: Mapping[str, Array | np.ndarray],
    source: Mapping[str, Array | np.ndarray],
    first: FirstLayer,
    last: LastLayer,
) -> Transfer:
    """Transfer the weights of a trained network to an initialised one.

    Every parameter and statistic comes from the source. Exceptions keep their initial values: a
    first or last layer that is reinitialised, and learned step sizes that the source does not have.

    Args:
        initialised: Arrays of the network by path, below `params` and `statistics`.
        source: Arrays of the trained network by path, below `params` and `statistics`.
        first: `keep` the stem, `reinitialise` it, or adapt its kernel by `sum_channels`.
        last: `keep` the head's affine map, or `reinitialise` it.

    Raises:
        ConfigError: if a choice has no effect, or if arrays do not fit; it lists all of them.
    """
    source = {_place_in(initialised, path): leaf for path, leaf in source.items()}
    stem = stem_of(initialised)
    _refuse_without_effect(initialised, source, first, stem)
    reinitialised = [
        part for part, choice in ((stem, first), (LAST, last)) if choice == "reinitialise"
    ]
    arrays: dict[str, Array | np.ndarray] = {}
    transferred: list[str] = []
    complaints: dict[str, str] = {}
    for path, own in initialised.items():
        if any(_lies_in(path, part) for part in reinitialised):
            continue
        if path not in source:
            if not _is_step_size(path):
                complaints[path] = "is missing there"
            continue
        other = source[path]
        if first == "sum_channels" and _lies_in(path, stem) and np.ndim(other) == 4:
            other = adapt_channels(np.asarray(other), own.shape[2])
        if np.shape(other) == own.shape:
            arrays[path] = np.asarray(other, dtype=own.dtype)
            transferred.append(path)
        else:
            complaints[path] = f"has shape {np.shape(source[path])} there and {own.shape} here"
    for path in source:
        if path not in initialised and not any(_lies_in(path, part) for part in reinitialised):
            complaints[path] = "has no place here"
    if complaints:
        listed = "; ".join(f"{path} {what}" for path, what in complaints.items())
        raise ConfigError(f"{listed}; {_advice(list(complaints), stem)}")
    new = tuple(path for path in initialised if path not in arrays)
    return Transfer({**initialised, **arrays}, tuple(transferred), new)


def _place_in(initialised: Mapping[str, Array | np.ndarray], path: str) -> str:
    """The path of a source array in the initialised network.

    The paths differ if a layer is an Euler step in only one of the two networks: such a layer is
    its branch; any other layer has the branch as one of several members.
    """
    if path in initialised:
        return path
    within = path.replace(_UNIT, _STEP) if _UNIT in path else path.replace(_STEP, _UNIT)
    return within if within in initialised else path


def stem_of(paths: Iterable[str]) -> str:
    """Path of the stem, below `params`; it depends on whether the first stage has a projection.

    Args:
        paths: Paths of all arrays of the network.
    """
    return _STEM_ALONE if any(_lies_in(path, _STEM_ALONE) for path in paths) else _STEM


def adapt_channels(
    kernel: Float[np.ndarray, "height width channels outputs"], channels: int
) -> Float[np.ndarray, "height width channels_2 outputs"]:
    """The kernel of a convolution for another number of input channels; one of the two must be 1.

    To one channel, kernels are summed; from one channel, they are divided by the number of channels
    and repeated. A grey image and the colour image with all channels equal to it then give the same
    outputs; a mean instead of the sum would not have this property.

    Args:
        kernel: The kernel.
        channels: Channels of the new images.

    Raises:
        ConfigError: if neither number of channels is 1, or both are equal.
    """
    own = kernel.shape[2]
    if own == channels or 1 not in (own, channels):
        raise ConfigError(
            f"start.first=sum_channels converts between colour and grey images, so one number of "
            f"channels must be 1; got {own} and {channels}; use start.first="
            f"{'keep' if own == channels else 'reinitialise'}"
        )
    if channels == 1:
        return np.sum(kernel, axis=2, keepdims=True)
    return np.repeat(kernel / kernel.dtype.type(channels), channels, axis=2)


def _refuse_without_effect(
    initialised: Mapping[str, Array | np.ndarray],
    source: Mapping[str, Array | np.ndarray],
    first: FirstLayer,
    stem: str,
) -> None:
    own = {path for path in initialised if _lies_in(path, stem)}
    if first == "reinitialise" and not own and not any(_lies_in(path, stem) for path in source):
        raise ConfigError(
            "start.first=reinitialise would be ignored: the stem has no weights; use "
            "start.first=keep"
        )
    if first == "sum_channels" and not any(np.ndim(initialised[path]) == 4 for path in own):
        raise ConfigError(
            "start.first=sum_channels adapts the kernels of a convolution, and the stem has none; "
            "use start.first=reinitialise, or model.stem.kind=conv"
        )


def _lies_in(path: str, part: str) -> bool:
    return path.split("/", 1)[1].startswith(f"{part}/")


def _is_step_size(path: str) -> bool:
    return "step_sizes" in path.split("/")


def _advice(paths: list[str], stem: str) -> str:
    """Advice for all arrays that do not fit."""
    todo = []
    if any(_lies_in(path, stem) for path in paths):
        todo.append(
            "for the first layer set start.first=reinitialise (or sum_channels, where a "
            "convolution changes between colour and grey images)"
        )
    if any(_lies_in(path, LAST) for path in paths):
        todo.append("for the last layer set start.last=reinitialise")
    inside = [path for path in paths if not any(_lies_in(path, part) for part in (stem, LAST))]
    if any(_is_step_size(path) for path in inside):
        todo.append(
            "learned step sizes remain learned, in the same number: set step_sizes.kind, sharing "
            "and num_steps as in that run (training.optimizer.step_sizes.learning_rate_factor=0 "
            "freezes them)"
        )
    if any(not _is_step_size(path) for path in inside):
        todo.append(
            "all layers between the first and the last must be as in that run: set the model's "
            "widths, steps, weights, fields and norms as in its config.yaml"
        )
    return "; ".join(todo)
