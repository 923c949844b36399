"""Reader and writer of safetensors files.

This is the only file that imports safetensors.

References: https://huggingface.co/docs/safetensors, section Format.
"""

from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Shaped

from odenet.errors import CheckpointError
from odenet.models.pretrained.torch_file import Arrays

_DTYPES: Mapping[str, np.dtype] = {
    "BF16": np.dtype(jnp.bfloat16),
    "BOOL": np.dtype(np.bool_),
    "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "I8": np.dtype(np.int8),
    "I16": np.dtype(np.int16),
    "I32": np.dtype(np.int32),
    "I64": np.dtype(np.int64),
    "U8": np.dtype(np.uint8),
    "U16": np.dtype(np.uint16),
    "U32": np.dtype(np.uint32),
    "U64": np.dtype(np.uint64),
}


def parse_safetensors(content: bytes, where: Path) -> Arrays:
    """The arrays in a safetensors file.

    Args:
        content: Contents of the file.
        where: Path of the file, for errors.

    Raises:
        CheckpointError: if the file is damaged, or has arrays of a type that numpy lacks.
    """
    try:
        found = safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise CheckpointError(
            f"{where} must be an intact PyTorch, Flax (msgpack) or safetensors file; as a "
            f"safetensors file it cannot be read: {error}"
        ) from error
    arrays = {}
    for name, entry in found:
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None or not name.isprintable():
            raise CheckpointError(
                f"{where} must hold arrays of the types {', '.join(_DTYPES)} with printable names; "
                f"got {name!r} of type {entry['dtype']}"
            )
        arrays[name] = np.frombuffer(entry["data"], dtype).reshape(entry["shape"])
    return arrays


def write_safetensors(
    path: Path,
    arrays: Mapping[str, Shaped[np.ndarray, "..."]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write arrays by name, atomically.

    Args:
        path: Path of the file; an existing file is replaced.
        arrays: Arrays by name, of any strides.
        metadata: Metadata of the file.

    Raises:
        CheckpointError: if the file cannot be written, or an array has a type that the format
            lacks.
    """
    for name, array in arrays.items():
        if array.dtype.newbyteorder("=") not in _DTYPES.values():
            raise CheckpointError(
                f"arrays must have a type of {', '.join(map(str, _DTYPES.values()))}; "
                f"got {name!r} of type {array.dtype}"
            )
    # The library writes the memory of an array without regard to its strides.
    plain = {
        name: np.array(array, array.dtype.newbyteorder("="), order="C", copy=None)
        for name, array in arrays.items()
    }
    partial = path.with_name(f".{path.name}.part")
    try:
        notes = None if metadata is None else dict(metadata)
        partial.write_bytes(safetensors.numpy.save(plain, notes))
        partial.replace(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
