"""The idx format of MNIST and Fashion-MNIST: gzipped, big-endian header, then bytes."""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from odenet.data.files import Examples, Part, PublishedSet, read_checked
from odenet.errors import DataError

UNSIGNED_BYTE = 0x08
NUM_CLASSES = 10


def read_idx_pair(
    name: str, folder: Path, published: PublishedSet, part: Part, limit: int | None
) -> Examples:
    """Images of one channel and their labels, from the two idx files of a part.

    Args:
        name: Name of the data set in `odenet data fetch`.
        folder: Folder of the data set.
        published: The files and their checksums; names begin with `train-` and `t10k-`, images
            come before labels.
        part: Training or test part.
        limit: Number of images to read, from the first on; None for all.

    Raises:
        DataError: If a file is missing, damaged or misshapen, or holds fewer than `limit` images.
    """
    prefix = "train-" if part == "train" else "t10k-"
    files = [file for file in published.files if file.path.startswith(prefix)]
    images, labels = (
        parse_idx(read_checked(name, folder, file), folder / file.path, limit) for file in files
    )
    if images.ndim != 3 or labels.shape != images.shape[:1] or labels.max() >= NUM_CLASSES:
        raise DataError(
            f"{folder} must hold images of two axes with one label below {NUM_CLASSES} each; got "
            f"images of shape {images.shape} and labels of shape {labels.shape}; fetch it again"
        )
    return images[..., None], labels


def parse_idx(content: bytes, path: Path, limit: int | None) -> UInt8[np.ndarray, "n *item"]:
    """The first `limit` items of a gzipped idx file of unsigned bytes.

    The header is two zero bytes, the type code 8, the number of axes, and the length of each axis
    as a big-endian 32-bit integer (LeCun, Cortes and Burges 1998).

    Args:
        content: The published file, gzipped.
        path: Path of the file, for errors.
        limit: Number of items, at least 1; None for all.

    Raises:
        DataError: If the file has another format, or holds fewer items than its header says or
            than `limit`.
    """
    try:
        # Only the requested items are unpacked.
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as unpacked:
            zeros, code, axes = struct.unpack(">HBB", unpacked.read(4))
            shape = struct.unpack(f">{axes}I", unpacked.read(4 * axes))
            if zeros != 0 or code != UNSIGNED_BYTE or axes == 0:
                raise DataError(_misshapen(path, f"type code {code} and {axes} axes"))
            count = shape[0] if limit is None else limit
            if count > shape[0]:
                raise DataError(
                    f"a limit must be at most {shape[0]}, the number of examples in {path}; got "
                    f"{limit}"
                )
            wanted = count * math.prod(shape[1:])
            body = unpacked.read(wanted)
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise DataError(_misshapen(path, str(error))) from error
    if len(body) != wanted:
        raise DataError(_misshapen(path, f"{len(body)} bytes where the header says {wanted}"))
    return np.frombuffer(body, dtype=np.uint8).reshape(count, *shape[1:])


def _misshapen(path: Path, found: str) -> str:
    return f"{path} must be a gzipped idx file of unsigned bytes; got {found}; fetch it again"
