"""The tensors of PyTorch's files as strided views of storages, without PyTorch."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from odenet.errors import CheckpointError
from odenet.models.pretrained.pickle_machine import PickleMachine

_MAX_RANK = 32
_MAX_EXPANDED = 2**28
"""Largest number of elements of a tensor that repeats those of its storage, which the size of the
file does not bound."""
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
class Storage:
    """A contiguous array of numbers in the file, with its key."""

    key: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True)
class Tensor:
    """A strided view of a storage; offset and strides count numbers, not bytes."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    is_negative: bool = False
    """Whether the numbers are the negatives of those of the storage."""
    is_conjugate: bool = False


class _Kind:
    """A class of tensors, which a pickle may name; it is not used."""


def tensor_machine(declared: dict[str, Storage]) -> PickleMachine:
    """A pickle machine for the object of a file; it adds the storages it meets to `declared`."""

    def persistent(identifier: Any) -> Storage:
        kind, dtype, key, _, count, *view = identifier
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(key, str):
            raise TypeError("a persistent identifier that is not a storage")
        if view not in ([], [None]):
            raise CheckpointError(f"storage {key!r} is a view of another, which is not supported")
        storage = Storage(key, dtype, _whole(count))
        if declared.setdefault(key, storage) != storage:
            raise CheckpointError(f"storage {key!r} is declared in two ways")
        return storage

    def rebuild_from_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
        """A tensor with Python attributes, such as a buffer; the attributes are left out."""
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
) -> Tensor:
    del requires_grad, hooks
    marks = marks or {}
    if not isinstance(marks, dict) or not marks.keys() <= {"neg", "conj"}:
        raise TypeError("a tensor with marks other than neg and conj")
    if not isinstance(storage, Storage) or len(size) != len(stride) or len(size) > _MAX_RANK:
        raise TypeError("a tensor without storage, or of differing or too many dimensions")
    whole = tuple(_whole(n) for n in size), tuple(_whole(n) for n in stride)
    return Tensor(
        storage, _whole(offset), *whole, marks.get("neg") is True, marks.get("conj") is True
    )


def _rebuild_parameter(tensor: Any, *rest: Any) -> Tensor:
    del rest
    if not isinstance(tensor, Tensor):
        raise TypeError("a parameter that is not a tensor")
    return tensor


def _whole(number: Any) -> int:
    if not isinstance(number, int) or number < 0:
        raise TypeError("a size, stride, offset or count that is not a natural number")
    return number


def _negative(
    key: str,
    storage: Shaped[np.ndarray, " n"],
    negatives: dict[str, Shaped[np.ndarray, " n"]],
) -> Shaped[np.ndarray, " n"]:
    if key not in negatives:
        negatives[key] = -storage
    return negatives[key]


def tensor_view(
    name: str,
    tensor: Tensor,
    storages: Mapping[str, Shaped[np.ndarray, " n"]],
    negatives: dict[str, Shaped[np.ndarray, " n"]],
) -> Shaped[np.ndarray, "..."]:
    """The tensor as a view of its storage.

    Raises:
        CheckpointError: if the storage is missing, the view exceeds it, the tensor repeats its
            numbers too often, or it is a complex conjugate.
    """
    storage = storages.get(tensor.storage.key)
    if storage is None:
        raise CheckpointError(f"storage {tensor.storage.key!r} of {name} is not in the file")
    count = math.prod(tensor.size)
    # The stride of a dimension of length 1 is not used and may have any value.
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
            f"{_MAX_EXPANDED} numbers; got shape {tensor.size}"
        )
    if tensor.is_conjugate:
        raise CheckpointError(f"weights must be real numbers; got {name}, a complex conjugate")
    if tensor.is_negative:
        # Once per storage: a short file may use one storage in many tensors.
        storage = _negative(tensor.storage.key, storage, negatives)
    return np.lib.stride_tricks.as_strided(
        storage[tensor.offset :] if count else storage[:0],
        tensor.size,
        [s * storage.itemsize for s in strides],
        writeable=False,
    )
