"""Conversion of the inputs and targets of an .npz file to the arrays of a split.

An array with one possible interpretation is read. An ambiguous array is refused; the message names
the line of code that resolves the ambiguity.
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
        name: Name of the array in the file.
        array: The inputs of the file.
        shape: Shape of one image, if images are flattened to rows.
        layout: Position of the channel axis; None to infer it.

    Raises:
        DataError: if the inputs are neither images nor vectors, or are ambiguous.
        ConfigError: if `shape` or `layout` does not fit the inputs.
    """
    kind = array.dtype.kind
    if kind not in "uif" or array.ndim < 2 or array.size == 0:
        fix = f"; write {name}={name}.astype(np.uint8) * 255" if kind == "b" else ""
        raise DataError(
            f"{name} of {path} must be images of shape (n, height, width, channels) or (n, height, "
            f"width), or floating-point vectors of shape (n, features), without an axis of length "
            f"0; got {array.dtype} of shape {array.shape}{fix}"
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
            f"data.shape={list(shape)} needs rows of {size} numbers; {name} of {path} has shape "
            f"{array.shape}; remove it, or give the shape of one image"
        )
    return array.reshape(len(array), *shape)


def _vectors(path: Path, name: str, array: np.ndarray, layout: Layout | None) -> np.ndarray:
    if layout is not None:
        raise ConfigError(
            f"data.layout is the position of the channel axis of images; {name} of {path} are "
            f"vectors, of shape {array.shape}; remove it"
        )
    if array.dtype.kind == "f":
        return finite(path, name, array)
    side = round(array.shape[1] ** 0.5)
    shape = f"[{side}, {side}]" if side * side == array.shape[1] else "[height, width]"
    raise DataError(
        f"{name} of {path} are rows of integers, {array.dtype} of shape {array.shape}, which may "
        f"be images or vectors; for images set data.shape={shape}, for vectors write "
        f"{name}={name}.astype(np.float32)"
    )


def _channels_last(path: Path, name: str, array: np.ndarray, layout: Layout | None) -> np.ndarray:
    """Images with the channel axis last."""
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
            f"{name}={name}.transpose(0, 2, 3, 1); data.layout=channels_last reads it unchanged"
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
            f"floating-point images must be in the range 0 to 1; {name} of {path} are {given}; "
            f"write {as_pixels if whole else scaled}, and all other inputs of the file likewise"
        )
    if array.dtype == np.uint16 and high > 4095:
        return np.ascontiguousarray(array / np.float32(65535), np.float32)
    if 1 < high <= 255 and low >= 0 and array.dtype != np.uint16:
        return np.ascontiguousarray(array.astype(np.uint8))
    raise DataError(
        f"integer images must be in the range 0 to 255, or uint16 up to 65535; {name} of {path} "
        f"are {given}, whose full range is not known; write {name}=({name} / FULL)"
        f".astype(np.float32) with FULL the value of white, for example 4095 for 12 bits"
    )


def as_targets(path: Path, name: str, array: np.ndarray, num_inputs: int) -> np.ndarray:
    """Classes, int32 of shape `(n,)`, or values, float32 of shape `(n, outputs)`.

    Args:
        path: The file, for errors.
        name: Name of the array in the file.
        array: The targets of the file.
        num_inputs: Number of inputs.

    Raises:
        DataError: if the targets are neither classes nor values, or not one for each input.
    """
    whole = np.issubdtype(array.dtype, np.integer)
    if whole and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    classes = whole and array.ndim == 1
    values = np.issubdtype(array.dtype, np.floating) and array.ndim in (1, 2)
    if not (classes or values) or array.size == 0 or len(array) != num_inputs:
        fix = ""
        if array.ndim == 2 and array.dtype.kind in "iub" and len(array) == num_inputs:
            fix = f"; for one-hot rows write {name}={name}.argmax(axis=1)"
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
        DataError: if a number is not finite in single precision.
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
