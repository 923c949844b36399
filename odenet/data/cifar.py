"""The Python batches of CIFAR-10: pickles, read without running what they say."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from odenet.data.files import Examples, Part, PublishedFile, PublishedSet, read_checked
from odenet.errors import DataError

BATCH_SIZE = 10_000
IMAGE_BYTES = 3 * 32 * 32
NUM_CLASSES = 10

_RECONSTRUCT = np.empty(0, dtype=np.uint8).__reduce__()[0]
# The same function under its names before and since numpy 2; nothing else in these files is a
# global: bytes, lists, dicts and numbers have opcodes of their own.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that builds numpy arrays and plain containers, and calls nothing else."""

    def find_class(self, module: str, name: str, /) -> Any:
        """The global called `module.name`, if arrays need it.

        Raises:
            DataError: If they do not.
        """
        try:
            return _ALLOWED[(module, name)]
        except KeyError:
            raise DataError(
                f"a data file may hold arrays and plain values only; got a pickle that names "
                f"{module}.{name}; do not use this file"
            ) from None


def read_batches(
    name: str, folder: Path, published: PublishedSet, part: Part, limit: int | None
) -> Examples:
    """Images and labels from the batches that hold the first `limit` of a part.

    Args:
        name: The data set, as `odenet data fetch` calls it.
        folder: Of the data set.
        published: The files and their checksums; names begin with `data_batch_`, in order, and
            `test_batch`.
        part: Which files.
        limit: Number of the first images to read; None for all.

    Raises:
        DataError: If a file is missing, damaged or misshapen, or all hold fewer than `limit`.
    """
    prefix = "data_batch_" if part == "train" else "test_batch"
    files = [file for file in published.files if Path(file.path).name.startswith(prefix)]
    if limit is not None:
        files = files[: -(-limit // BATCH_SIZE)]
    _refuse_missing(name, folder, files, part)
    batches = [parse_batch(read_checked(name, folder, f), folder / f.path) for f in files]
    images = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    if limit is not None and limit > len(images):
        raise DataError(
            f"a limit is at most what {folder} holds, {len(images)} examples; got {limit}"
        )
    return images[:limit], labels[:limit]


def _refuse_missing(name: str, folder: Path, files: list[PublishedFile], part: Part) -> None:
    """Name every missing batch at once, and how to do without those that come last."""
    there = [(folder / file.path).exists() for file in files]
    first = there.index(False) if False in there else len(there)
    if part != "train" or first in (0, len(there)):
        return
    missing = [file.path for file, exists in zip(files, there, strict=True) if not exists]
    verb = "are" if len(missing) > 1 else "is"
    raise DataError(
        f"{name} in {folder} needs {', '.join(missing)}, which {verb} missing; run `odenet data "
        f"fetch {name}`, or take the images of the batches before with data.limit_train="
        f"{first * BATCH_SIZE}"
    )


def parse_batch(content: bytes, path: Path) -> Examples:
    """Images and labels of one batch.

    Args:
        content: The file as published, a pickled dict with `data`, uint8 of shape
            `(n, 3072)`: each row the red, then the green, then the blue plane; and `labels`.
        path: Where it came from, for errors.

    Raises:
        DataError: If it is no such file.
    """
    try:
        batch = ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        data, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"], dtype=np.int64)
    except DataError:
        raise
    # A damaged pickle may raise nearly anything, by its documentation.
    except Exception as error:
        raise DataError(_misshapen(path, f"{type(error).__name__}: {error}")) from error
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != IMAGE_BYTES or not len(data):
        raise DataError(_misshapen(path, f"data of type {data.dtype} and shape {data.shape}"))
    if labels.shape != data.shape[:1] or labels.min() < 0 or labels.max() >= NUM_CLASSES:
        raise DataError(_misshapen(path, f"labels of shape {labels.shape} for {len(data)} images"))
    images = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels.astype(np.uint8)


def _misshapen(path: Path, found: str) -> str:
    return (
        f"{path} must be a Python batch of CIFAR-10, uint8 of shape (n, 3072) with n labels; got "
        f"{found}; fetch it again"
    )
