"""Weights of one network in another: what is kept, what is reinitialised, and what does not fit.

Networks are given as arrays by path, such as `params/head/linear/kernel`.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from odenet.arrays import Array, Float
from odenet.errors import ConfigError

LAST = "head/linear"
"""Where the head's affine map stands in a network, below `params`."""

_UNIT, _STEP = "/weights/stacked/branch/", "/weights/stacked/"
_STEM, _STEM_ALONE = "projections/0", "projections/0/operation/stem"

FirstLayer = Literal["keep", "reinitialise", "sum_channels"]
LastLayer = Literal["keep", "reinitialise"]


@dataclasses.dataclass(frozen=True)
class Transfer:
    """A network that got weights from another one.

    Attributes:
        arrays: All of its arrays by path.
        transferred: Paths of what came from the other network, as it was or adapted.
        new: Paths of what is as it was initialised.
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
    """Put the weights of a trained network into one that was initialised.

    Every parameter and statistic comes from the source, but for a first or last layer that is
    reinitialised, and for learned step sizes that the source does not have: these stay.

    Args:
        initialised: Arrays of the network by path, below `params` and `statistics`.
        source: Arrays of the trained network, likewise.
        first: `keep` the stem, `reinitialise` it, or adapt its kernel by `sum_channels`.
        last: `keep` the head's affine map, or `reinitialise` it.

    Raises:
        ConfigError: if a choice has no effect, or if anything of the two does not fit; all of it
            is listed.
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
    """The path as it is here, where the branch of a layer stands alone in one of the two networks.

    A layer that is an Euler step is its branch; one that is none has the branch beside others.
    """
    if path in initialised:
        return path
    within = path.replace(_UNIT, _STEP) if _UNIT in path else path.replace(_STEP, _UNIT)
    return within if within in initialised else path


def stem_of(paths: Iterable[str]) -> str:
    """Where the stem stands in a network, below `params`: alone, or before a layer of its stage.

    Args:
        paths: All arrays of the network.
    """
    return _STEM_ALONE if any(_lies_in(path, _STEM_ALONE) for path in paths) else _STEM


def adapt_channels(
    kernel: Float[np.ndarray, "height width channels outputs"], channels: int
) -> Float[np.ndarray, "height width channels_2 outputs"]:
    """The kernel of a convolution for images of another number of channels, one of the two being 1.

    Kernels are summed over the channels, or divided by their number and repeated. A grey image and
    the same image with all channels equal then give the same outputs, which is why it is not the
    mean in the first case.

    Args:
        kernel: The kernel.
        channels: Channels of the new images.

    Raises:
        ConfigError: if neither number of channels is 1, or both are equal.
    """
    own = kernel.shape[2]
    if own == channels or 1 not in (own, channels):
        raise ConfigError(
            f"start.first=sum_channels leads from colour to grey images or back, so from some "
            f"channels to 1 or from 1 to some; got {own} and {channels}; use start.first="
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
    """What to do about everything that does not fit."""
    todo = []
    if any(_lies_in(path, stem) for path in paths):
        todo.append(
            "for the first layer set start.first=reinitialise (or sum_channels, where a "
            "convolution goes from colour to grey images or back)"
        )
    if any(_lies_in(path, LAST) for path in paths):
        todo.append("for the last layer set start.last=reinitialise")
    inside = [path for path in paths if not any(_lies_in(path, part) for part in (stem, LAST))]
    if any(_is_step_size(path) for path in inside):
        todo.append(
            "learned step sizes stay learned, in the same number: set step_sizes.kind, sharing and "
            "num_steps as they are there (training.optimizer.step_sizes.learning_rate_factor=0 "
            "freezes them)"
        )
    if any(not _is_step_size(path) for path in inside):
        todo.append(
            "all between the first and the last layer must be as it is there: make the model's "
            "widths, steps, weights, fields and norms those of that run's config.yaml"
        )
    return "; ".join(todo)
