"""Double precision for instruments whose answer would otherwise drown in round-off."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Let arrays that are made inside be of 64 bits, whatever the process is set to."""
    with jax.enable_x64(True):
        yield


def doubled(tree: Any) -> Any:
    """The same arrays on the host, floating-point ones in double precision."""

    def wide(leaf: Any) -> np.ndarray:
        array = np.asarray(jax.device_get(leaf))
        return array.astype(np.float64) if np.issubdtype(array.dtype, np.floating) else array

    return jax.tree.map(wide, tree)
