"""Reader of Flax's msgpack checkpoints, without Flax.

This is the only file that imports msgpack.

References: `flax/serialization.py` defines the format. Extension 1 is an array, `(shape, name of
the type, bytes)`, 2 is a complex number, 3 is a scalar as an array. Arrays above 1 GiB are stored
in chunks.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import msgpack
import numpy as np
from jaxtyping import Shaped

from odenet.errors import CheckpointError
from odenet.models.pretrained.torch_file import Arrays
from odenet.models.pretrained.weight_sets import AVERAGED

_DTYPES = {
    name: np.dtype(name)
    for name in (
        *("bool", "float16", "float32", "float64", "complex64", "complex128"),
        *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    )
} | {"bfloat16": np.dtype(jnp.bfloat16)}
_CHUNKED = "__msgpack_chunked_array__"
_PARAMS, _STATISTICS = "params", "batch_stats"
_NO_WEIGHTS = ("opt_state", "step")


def is_msgpack_map(content: bytes) -> bool:
    """Whether a file begins like a msgpack map with at least one key."""
    return bool(content) and (0x81 <= content[0] <= 0x8F or content[0] in (0xDE, 0xDF))


def parse_flax_sets(content: bytes, where: Path) -> dict[str, Arrays]:
    """The sets of weights in a file of `flax.serialization.to_bytes` or `msgpack_serialize`.

    Args:
        content: Contents of the file.
        where: Path of the file, for errors.

    Returns:
        Arrays by dotted path, `params.Conv_0.kernel` and `batch_stats.BatchNorm_0.mean`, in the
        set `params`. Averaged weights, such as `ema_params`, are in a set of that name, with the
        same paths. A tree without `params` is one set, `""`. The state of the optimiser is left
        out.

    Raises:
        CheckpointError: if the file is damaged, or holds no arrays.
    """
    try:
        tree = msgpack.unpackb(content, ext_hook=_extension, raw=False, strict_map_key=False)
        sets = dict(_sets(tree))
    # A damaged file may raise nearly any exception.
    except Exception as error:
        raise CheckpointError(
            f"{where} must be an intact msgpack checkpoint of Flax; got {type(error).__name__}: "
            f"{error}"
        ) from error
    if not any(sets.values()):
        raise CheckpointError(f"{where} must hold named arrays, such as params; it holds none")
    return sets


def _sets(tree: Any) -> Iterator[tuple[str, Arrays]]:
    if not isinstance(tree, Mapping):
        raise TypeError(f"a {type(tree).__name__} instead of a tree of arrays")
    root = tree
    while _PARAMS not in root and len(root) == 1 and isinstance(first := _first(root), Mapping):
        root = first  # a wrapper such as {"model": {...}}
    if not isinstance(root.get(_PARAMS), Mapping):
        yield "", dict(_arrays({k: v for k, v in tree.items() if k not in _NO_WEIGHTS}, ""))
        return
    # If `variables` were saved under `params`, they hold another `params`.
    inside = root[_PARAMS]
    if isinstance(inside.get(_PARAMS), Mapping):
        root = root | inside
    statistics = dict(_arrays({_STATISTICS: root.get(_STATISTICS, {})}, ""))
    averaged = [key for key in root if isinstance(key, str) and _is_averaged(key)]
    for key in (_PARAMS, *averaged):
        if isinstance(root[key], Mapping):
            yield key, dict(_arrays({_PARAMS: root[key]}, "")) | statistics


def _is_averaged(key: str) -> bool:
    return _PARAMS in key and any(word in key.lower() for word in AVERAGED)


def _first(tree: Mapping[Any, Any]) -> Any:
    return next(iter(tree.values()))


def _arrays(tree: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if not path.isprintable():
            raise ValueError(f"an unprintable name, {path!r}")
        if isinstance(value, Mapping):
            if _CHUNKED in value:
                yield path, _joined(value)
            else:
                yield from _arrays(value, f"{path}.")
        elif isinstance(value, np.ndarray):
            yield path, value


def _joined(chunked: Mapping[str, Any]) -> Shaped[np.ndarray, "..."]:
    shape, chunks = chunked["shape"], chunked["chunks"]
    flat = np.concatenate([chunks[str(i)] for i in range(len(chunks))])
    return flat.reshape([shape[str(i)] for i in range(len(shape))])


def _extension(code: int, data: bytes) -> Any:
    """The array of an extension; None for a complex number, which cannot be a weight."""
    if code not in (1, 3):
        return None
    shape, name, content = msgpack.unpackb(data, raw=True)
    dtype = _DTYPES.get(name.decode())
    if dtype is None:
        raise ValueError(f"an array of type {name.decode()!r}; known are {', '.join(_DTYPES)}")
    if not all(isinstance(n, int) and n >= 0 for n in shape):
        raise ValueError(f"an array of shape {shape}")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"an array of shape {shape} and type {dtype} in {len(content)} bytes")
    return np.frombuffer(content, dtype).reshape(shape)
