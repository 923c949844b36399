"""PyTorch's checkpoint files, read without PyTorch and without running what they say."""

import io
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from odenet.errors import CheckpointError
from odenet.models.pretrained.pickle_machine import PickleMachine
from odenet.models.pretrained.weight_sets import PARALLEL, chosen, find_sets

Arrays = dict[str, Shaped[np.ndarray, "..."]]
"""Arrays by name."""

ZIP_MAGIC = b"PK\x03\x04"
PICKLE_MAGIC = b"\x80"

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_MAX_RANK = 32
_MAX_EXPANDED = 2**28
"""Numbers of a tensor that repeats those of its storage: the file's size does not bound them."""
_STORAGE_TYPES = {
    "torch.BFloat16Storage": np.dtype(jnp.bfloat16),
    "torch.BoolStorage": np.dtype(np.bool_),
    "torch.ByteStorage": np.dtype(np.uint8),
    "torch.CharStorage": np.dtype(np.int8),
    "torch.ComplexDoubleStorage": np.dtype(np.complex128),
    "torch.ComplexFloatStorage": np.dtype(np.complex64),
    "torch.DoubleStorage": np.dtype(np.float64),
    "torch.FloatStorage": np.dtype(np.float32),
    "torch.HalfStorage": np.dtype(np.float16),
    "torch.IntStorage": np.dtype(np.int32),
    "torch.LongStorage": np.dtype(np.int64),
    "torch.ShortStorage": np.dtype(np.int16),
}


@dataclass(frozen=True)
class _Storage:
    """A run of numbers in the file, by the key that the file has for it."""

    key: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A strided view of a storage, in numbers, not bytes."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    is_negative: bool = False
    """Whether the numbers are those of the storage with the other sign."""
    is_conjugate: bool = False


class _Kind:
    """A class of tensors, which a pickle may name and nothing looks at."""


def parse_torch(content: bytes, where: Path) -> Arrays:
    """The one state dict in a file that `torch.save` wrote; see `parse_torch_sets`.

    The prefix `module.` of data-parallel models is removed where all names have it.

    Raises:
        CheckpointError: if there are several, and as `parse_torch_sets` says.
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
    """The state dicts in a file that `torch.save` wrote, in the zip format or the one before 1.6.

    Args:
        content: The file.
        where: Where it came from, for errors.

    Returns:
        By the keys that lead to them, as `find_sets` says; read-only views of the content, in the
        order and by the names of the file.

    Raises:
        CheckpointError: if the file is damaged, contradicts itself, names anything but tensors,
            plain values and what is known to be harmless, or holds no state dict.

    References: `torch/serialization.py` of PyTorch writes both formats.
    """
    parse = _parse_zip if content.startswith(ZIP_MAGIC) else _parse_legacy
    try:
        tree, storages = parse(content)
        sets = find_sets(tree, lambda value: isinstance(value, _Tensor))
        negatives: dict[str, Shaped[np.ndarray, " n"]] = {}
        return {
            key: {
                name: _view(name, tensor, storages, negatives) for name, tensor in tensors.items()
            }
            for key, tensors in sets.items()
        }
    except CheckpointError as error:
        raise _unreadable(where, error) from error
    # A damaged archive may raise nearly anything.
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
    declared: dict[str, _Storage] = {}
    tree = _machine(declared).load(stream)
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
                raise CheckpointError("its parts must be stored as they are, each in its own place")
            return archive.read(info)

        declared: dict[str, _Storage] = {}
        tree = _machine(declared).load(io.BytesIO(read(objects[0])))
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


def _machine(declared: dict[str, _Storage]) -> PickleMachine:
    """What reads the object of a file and notes the storages that it speaks of."""

    def persistent(identifier: Any) -> _Storage:
        kind, dtype, key, _, count, *view = identifier
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(key, str):
            raise TypeError("a persistent identifier that is no storage")
        if view not in ([], [None]):
            raise CheckpointError(f"storage {key!r} is a view of another, which is not supported")
        storage = _Storage(key, dtype, _whole(count))
        if declared.setdefault(key, storage) != storage:
            raise CheckpointError(f"storage {key!r} is declared in two ways")
        return storage

    def rebuild_from_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
        """A tensor with attributes of Python, such as a buffer; the attributes are left out."""
        del kind, state
        return machine.call(function, arguments)

    functions: Mapping[str, Callable[..., Any]] = {
        "torch._utils._rebuild_tensor": _rebuild_tensor,
        "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
        "torch._utils._rebuild_parameter": _rebuild_parameter,
        "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
        "torch._tensor._rebuild_from_type_v2": rebuild_from_type,
    }
    kinds = ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")
    values = {**_STORAGE_TYPES, **dict.fromkeys(kinds, _Kind())}
    machine = PickleMachine(functions, values, persistent)
    return machine


def _rebuild_tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    marks: Any = None,
) -> _Tensor:
    del requires_grad, hooks
    marks = marks or {}
    if not isinstance(marks, dict) or not marks.keys() <= {"neg", "conj"}:
        raise TypeError("a tensor with marks other than neg and conj")
    if not isinstance(storage, _Storage) or len(size) != len(stride) or len(size) > _MAX_RANK:
        raise TypeError("a tensor without storage, or of differing or too many dimensions")
    whole = tuple(_whole(n) for n in size), tuple(_whole(n) for n in stride)
    return _Tensor(
        storage, _whole(offset), *whole, marks.get("neg") is True, marks.get("conj") is True
    )


def _rebuild_parameter(tensor: Any, *rest: Any) -> _Tensor:
    del rest
    if not isinstance(tensor, _Tensor):
        raise TypeError("a parameter that is no tensor")
    return tensor


def _whole(number: Any) -> int:
    if not isinstance(number, int) or number < 0:
        raise TypeError("a size, stride, offset or count that is not a whole number")
    return number


def _negative(
    key: str,
    storage: Shaped[np.ndarray, " n"],
    negatives: dict[str, Shaped[np.ndarray, " n"]],
) -> Shaped[np.ndarray, " n"]:
    if key not in negatives:
        negatives[key] = -storage
    return negatives[key]


def _view(
    name: str,
    tensor: _Tensor,
    storages: Mapping[str, Shaped[np.ndarray, " n"]],
    negatives: dict[str, Shaped[np.ndarray, " n"]],
) -> Shaped[np.ndarray, "..."]:
    """The tensor as a view of its storage, if it lies inside."""
    storage = storages.get(tensor.storage.key)
    if storage is None:
        raise CheckpointError(f"storage {tensor.storage.key!r} of {name} is not in the file")
    count = math.prod(tensor.size)
    # The stride of a dimension of one number is never used and may be anything.
    strides = [s if n > 1 else 0 for n, s in zip(tensor.size, tensor.stride, strict=True)]
    last = tensor.offset + sum(
        (n - 1) * s for n, s in zip(tensor.size, strides, strict=True) if count
    )
    if count and last >= storage.size:
        raise CheckpointError(
            f"{name} must lie within its storage of {storage.size} numbers; got shape "
            f"{tensor.size}, strides {tensor.stride} and offset {tensor.offset}"
        )
    if count > max(storage.size, _MAX_EXPANDED):
        raise CheckpointError(
            f"{name} must not repeat the {storage.size} numbers of its storage to more than "
            f"{_MAX_EXPANDED}; got shape {tensor.size}"
        )
    if tensor.is_conjugate:
        raise CheckpointError(f"weights must be real numbers; got {name}, a complex conjugate")
    if tensor.is_negative:
        # Once for each storage: a short file may name one in many tensors.
        storage = _negative(tensor.storage.key, storage, negatives)
    return np.lib.stride_tricks.as_strided(
        storage[tensor.offset :] if count else storage[:0],
        tensor.size,
        [s * storage.itemsize for s in strides],
        writeable=False,
    )
