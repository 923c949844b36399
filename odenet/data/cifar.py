"""Reader of the Python batches of CIFAR-10: pickles, read without executing their code."""

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
# The same function under its names before and since numpy 2. These files use no other globals:
# bytes, lists, dicts and numbers have their own opcodes.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that builds only numpy arrays and plain containers."""

    def find_class(self, module: str, name: str, /) -> Any:
        """The global `module.name`, if numpy arrays need it.

        Raises:
            DataError: For any other global.
        """
        try:
            return _ALLOWED[(module, name)]
        except KeyError:
            raise DataError(
                f"a data file may hold only arrays and plain values; got a pickle with the global "
                f"{module}.{name}; do not use this file"
            ) from None


def read_batches(
    name: str, folder: Path, published: PublishedSet, part: Part, limit: int | None
) -> Examples:
    """The first `limit` images and labels of a part, from the batches that hold them.

    Args:
        name: Name of the data set in `odenet data fetch`.
        folder: Folder of the data set.
        published: The files and their checksums; names begin with `data_batch_`, in order, and
            `test_batch`.
        part: Training or test part.
        limit: Number of images to read, from the first on; None for all.

    Raises:
        DataError: If a file is missing, damaged or misshapen, or the files hold fewer than `limit`
            images.
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
            f"a limit must be at most {len(images)}, the number of examples in {folder}; got "
            f"{limit}"
        )
    return images[:limit], labels[:limit]


def _refuse_missing(name: str, folder: Path, files: list[PublishedFile], part: Part) -> None:
    """Raise an error that names all missing batches, and the `limit_train` that avoids them."""
    there = [(folder / file.path).exists() for file in files]
    first = there.index(False) if False in there else len(there)
    if part != "train" or first in (0, len(there)):
        return
    missing = [file.path for file, exists in zip(files, there, strict=True) if not exists]
    verb = "are" if len(missing) > 1 else "is"
    raise DataError(
        f"{name} in {folder} needs {', '.join(missing)}, which {verb} missing; run `odenet data "
        f"fetch {name}`, or read only the earlier batches with data.limit_train="
        f"{first * BATCH_SIZE}"
    )


def parse_batch(content: bytes, path: Path) -> Examples:
    """Images and labels of one batch.

    Args:
        content: The published file, a pickled dict with `labels` and `data`, uint8 of shape
            `(n, 3072)`: each row holds the red, then the green, then the blue plane.
        path: Path of the file, for errors.

    Raises:
        DataError: If the file is not such a batch.
    """
    try:
        batch = ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        data, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"], dtype=np.int64)
    except DataError:
        raise
    # By the documentation of pickle, a damaged pickle may raise nearly any exception.
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
