"""Reader of PyTorch's checkpoint files, without PyTorch and without executing their code."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from odenet.errors import CheckpointError
from odenet.models.pretrained.pickle_machine import PickleMachine
from odenet.models.pretrained.torch_tensor import Storage, Tensor, tensor_machine, tensor_view
from odenet.models.pretrained.weight_sets import PARALLEL, chosen, find_sets

Arrays = dict[str, Shaped[np.ndarray, "..."]]
"""Arrays by name."""

ZIP_MAGIC = b"PK\x03\x04"
PICKLE_MAGIC = b"\x80"

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


def parse_torch(content: bytes, where: Path) -> Arrays:
    """The only state dict in a file of `torch.save`; see `parse_torch_sets`.

    The prefix `module.` of data-parallel models is removed if all names have it.

    Raises:
        CheckpointError: if there are several state dicts, and as in `parse_torch_sets`.
    """
    try:
        arrays = chosen(parse_torch_sets(content, where), None)
    except CheckpointError as error:
        message = str(error)
        raise error if str(where) in message else _unreadable(where, error) from error
    if all(name.startswith(PARALLEL) for name in arrays):
        return {name.removeprefix(PARALLEL): array for name, array in arrays.items()}
    return arrays


def parse_torch_sets(content: bytes, where: Path) -> dict[str, Arrays]:
    """The state dicts in a file of `torch.save`, in the zip format or the format before 1.6.

    Args:
        content: Contents of the file.
        where: Path of the file, for errors.

    Returns:
        State dicts by their dotted keys in the file, as in `find_sets`. The arrays are read-only
        views of the content, in the order and by the names of the file.

    Raises:
        CheckpointError: if the file is damaged, contradicts itself, names values other than
            tensors, plain values and those of `INERT`, or holds no state dict.

    References: `torch/serialization.py` of PyTorch defines both formats.
    """
    parse = _parse_zip if content.startswith(ZIP_MAGIC) else _parse_legacy
    try:
        tree, storages = parse(content)
        sets = find_sets(tree, lambda value: isinstance(value, Tensor))
        negatives: dict[str, Shaped[np.ndarray, " n"]] = {}
        return {
            key: {
                name: tensor_view(name, tensor, storages, negatives)
                for name, tensor in tensors.items()
            }
            for key, tensors in sets.items()
        }
    except CheckpointError as error:
        raise _unreadable(where, error) from error
    # A damaged archive may raise nearly any exception.
    except Exception as error:
        raise CheckpointError(
            f"{where} must be an intact PyTorch file; got {type(error).__name__}: {error}"
        ) from error


def _unreadable(where: Path, error: CheckpointError) -> CheckpointError:
    return CheckpointError(f"{where} cannot be read as a PyTorch file: {error}")


def _parse_legacy(content: bytes) -> tuple[Any, Mapping[str, Shaped[np.ndarray, " n"]]]:
    """Four pickles (magic number, protocol, system, object), a pickled list of keys, storages."""
    stream = io.BytesIO(content)
    if PickleMachine().load(stream) != _LEGACY_MAGIC:
        raise CheckpointError("it does not begin with PyTorch's magic number")
    if (protocol := PickleMachine().load(stream)) != _LEGACY_PROTOCOL:
        raise CheckpointError(f"its protocol must be {_LEGACY_PROTOCOL}; got {protocol!r}")
    PickleMachine().load(stream)
    declared: dict[str, Storage] = {}
    tree = tensor_machine(declared).load(stream)
    storages = {}
    for key in PickleMachine().load(stream):
        if (storage := declared.get(key)) is None:
            raise CheckpointError(f"storage {key!r} belongs to no tensor")
        count = int.from_bytes(stream.read(8), "little", signed=True)
        start, size = stream.tell(), storage.count * storage.dtype.itemsize
        if count != storage.count or len(content) - start < size:
            raise CheckpointError(
                f"storage {key!r} must hold {storage.count} numbers of type {storage.dtype}; got "
                f"the count {count} and {len(content) - start} bytes to the end of the file"
            )
        storages[key] = np.frombuffer(content, storage.dtype, storage.count, start)
        stream.seek(start + size)
    return tree, storages


def _parse_zip(content: bytes) -> tuple[Any, Mapping[str, Shaped[np.ndarray, " n"]]]:
    """An archive of `NAME/data.pkl`, the object, and `NAME/data/KEY`, the storages."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        objects = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(objects) != 1:
            raise CheckpointError(f"it must hold one data.pkl in one folder; got {len(objects)}")
        folder = objects[0].removesuffix("data.pkl")
        budget = len(content)

        def read(name: str) -> bytes:
            nonlocal budget
            info = archive.getinfo(name)
            budget -= info.file_size
            if info.compress_type != zipfile.ZIP_STORED or budget < 0:
                raise CheckpointError("its parts must be stored uncompressed and without overlap")
            return archive.read(info)

        declared: dict[str, Storage] = {}
        tree = tensor_machine(declared).load(io.BytesIO(read(objects[0])))
        order = read(folder + "byteorder") if folder + "byteorder" in names else b"little"
        storages = {}
        for key, storage in declared.items():
            part = read(f"{folder}data/{key}")
            if len(part) != storage.count * storage.dtype.itemsize:
                raise CheckpointError(
                    f"storage {key!r} must hold {storage.count} numbers of type {storage.dtype}; "
                    f"got {len(part)} bytes"
                )
            storages[key] = np.frombuffer(part, storage.dtype)
            if order == b"big":
                storages[key] = storages[key].byteswap()
    return tree, storages
