"""Inputs and targets of an .npz file as people write them, as the arrays of a split.

What can be read in one way is read; the rest is refused with the line of code that settles it.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from odenet.errors import ConfigError, DataError

Layout = Literal["channels_last", "channels_first"]

_CHANNELS = (1, 3, 4)


def as_inputs(
    path: Path,
    name: str,
    array: np.ndarray,
    shape: tuple[int, ...] | None = None,
    layout: Layout | None = None,
) -> np.ndarray:
    """Images `(n, height, width, channels)`, uint8 or float32 in [0, 1], or float32 vectors.

    Args:
        path: The file, for errors.
        name: What the array is called in it.
        array: The inputs as the file holds them.
        shape: Shape of one image, where each is a row of numbers.
        layout: Where the channels of an image stand, or None where that can be told.

    Raises:
        DataError: if they are neither images nor vectors, or could be read in two ways.
        ConfigError: if `shape` or `layout` does not fit them.
    """
    kind = array.dtype.kind
    if kind not in "uif" or array.ndim < 2 or array.size == 0:
        fix = f"; write {name}={name}.astype(np.uint8) * 255" if kind == "b" else ""
        raise DataError(
            f"{name} of {path} must be images of shape (n, height, width, channels) or (n, height, "
            f"width), or floating-point vectors of shape (n, features), none of them 0; got "
            f"{array.dtype} of shape {array.shape}{fix}"
        )
    if shape is not None:
        array = _unflattened(path, name, array, shape)
    if array.ndim == 2:
        return _vectors(path, name, array, layout)
    return _pixels(path, name, _channels_last(path, name, array, layout))


def _unflattened(path: Path, name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape))
    if array.ndim != 2 or array.shape[1] != size:
        raise ConfigError(
            f"data.shape={list(shape)} makes images of rows of {size} numbers; {name} of {path} "
            f"has shape {array.shape}; remove it, or give the shape of one image"
        )
    return array.reshape(len(array), *shape)


def _vectors(path: Path, name: str, array: np.ndarray, layout: Layout | None) -> np.ndarray:
    if layout is not None:
        raise ConfigError(
            f"data.layout says where the channels of images stand; {name} of {path} are vectors, "
            f"of shape {array.shape}; remove it"
        )
    if array.dtype.kind == "f":
        return finite(path, name, array)
    side = round(array.shape[1] ** 0.5)
    shape = f"[{side}, {side}]" if side * side == array.shape[1] else "[height, width]"
    raise DataError(
        f"{name} of {path} are rows of whole numbers, {array.dtype} of shape {array.shape}, which "
        f"may be images or vectors; for images set data.shape={shape}, for vectors write "
        f"{name}={name}.astype(np.float32)"
    )


def _channels_last(path: Path, name: str, array: np.ndarray, layout: Layout | None) -> np.ndarray:
    """Images with a last axis of channels."""
    if array.ndim == 3:
        if array.shape[-1] in _CHANNELS:
            raise DataError(
                f"{name} of {path} has shape {array.shape}, which may be grey images of width "
                f"{array.shape[-1]} or one row of {array.shape[-1]} channels; write "
                f"{name}={name}[..., None] for grey images"
            )
        if layout is not None:
            raise ConfigError(
                f"data.layout would be ignored: {name} of {path} are grey images, of shape "
                f"{array.shape}; remove it"
            )
        return array[..., None]
    if array.ndim != 4:
        raise DataError(
            f"{name} of {path} must be images of shape (n, height, width, channels) or (n, height, "
            f"width), or vectors of shape (n, features); got shape {array.shape}"
        )
    if layout is None and array.shape[-1] > array.shape[1] and array.shape[1] in _CHANNELS:
        c, h, w = array.shape[1:]
        raise DataError(
            f"{name} of {path} has shape {array.shape}, which looks like channels first: as "
            f"(n, height, width, channels) its images would be {c} high with {w} channels; set "
            f"data.layout=channels_first to read {c} channels of {h} x {w}, or write "
            f"{name}={name}.transpose(0, 2, 3, 1); data.layout=channels_last takes it as it is"
        )
    return np.moveaxis(array, 1, -1) if layout == "channels_first" else array


def _pixels(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """Images as uint8, or as float32 from 0 to 1."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind == "f":
        array = finite(path, name, array)
    low, high = array.min(), array.max()
    given = f"{array.dtype} from {low} to {high}"
    if array.dtype.kind == "f":
        if low >= 0 and high <= 1:
            return np.ascontiguousarray(array)
        whole = low >= 0 and high <= 255 and np.array_equal(array, np.round(array))
        as_pixels = f"{name}={name}.astype(np.uint8)"
        x = name
        scaled = f"{x}=(({x} - {low:g}) / {high - low:g}).astype(np.float32)"
        raise DataError(
            f"floating-point images are in the range 0 to 1; {name} of {path} are {given}; write "
            f"{as_pixels if whole else scaled}, and all other inputs of the file likewise"
        )
    if array.dtype == np.uint16 and high > 4095:
        return np.ascontiguousarray(array / np.float32(65535), np.float32)
    if 1 < high <= 255 and low >= 0 and array.dtype != np.uint16:
        return np.ascontiguousarray(array.astype(np.uint8))
    raise DataError(
        f"images of whole numbers are 0 to 255, or uint16 up to 65535; {name} of {path} are "
        f"{given}, whose full range is not known; write {name}=({name} / FULL).astype(np.float32) "
        f"with FULL the value of white, 4095 for 12 bits say"
    )


def as_targets(path: Path, name: str, array: np.ndarray, num_inputs: int) -> np.ndarray:
    """Classes, int32 of shape `(n,)`, or values, float32 of shape `(n, outputs)`.

    Args:
        path: The file, for errors.
        name: What the array is called in it.
        array: The targets as the file holds them.
        num_inputs: Number of inputs.

    Raises:
        DataError: if they are neither.
    """
    whole = np.issubdtype(array.dtype, np.integer)
    if whole and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    classes = whole and array.ndim == 1
    values = np.issubdtype(array.dtype, np.floating) and array.ndim in (1, 2)
    if not (classes or values) or array.size == 0 or len(array) != num_inputs:
        fix = ""
        if array.ndim == 2 and array.dtype.kind in "iub" and len(array) == num_inputs:
            fix = f"; of one-hot rows write {name}={name}.argmax(axis=1)"
        elif array.ndim == 1 and array.dtype.kind == "b":
            fix = f"; write {name}={name}.astype(np.int64)"
        elif array.ndim == 1 and array.dtype.kind in "US":
            fix = f"; write {name}=np.unique({name}, return_inverse=True)[1]"
        raise DataError(
            f"{name} of {path} must be one integer class or floating-point value for each of the "
            f"{num_inputs} inputs, of shape (n,) or (n, 1), or values of shape (n, outputs); got "
            f"{array.dtype} of shape {array.shape}{fix}"
        )
    if not classes:
        return finite(path, name, array.reshape(len(array), -1))
    if array.min() < 0 or array.max() >= 2**31:
        raise DataError(
            f"{name} of {path} must be classes 0, 1, ...; got {array.min()} to {array.max()}"
        )
    return array.astype(np.int32)


def finite(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """The array in single precision.

    Raises:
        DataError: if a number is not finite in it.
    """
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(single).reshape(len(single), -1).all(axis=1))
    if bad.size:
        raise DataError(
            f"{name} of {path} must be finite in single precision; {bad.size} of {len(single)} "
            f"rows are not, the first is {bad[0]}"
        )
    return single
