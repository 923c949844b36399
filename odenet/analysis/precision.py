"""Double precision for instruments whose results would otherwise be lost in round-off."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Create arrays inside with 64 bits, whatever the setting of the process."""
    with jax.enable_x64(True):
        yield


def doubled(tree: Any) -> Any:
    """The same arrays on the host, floating-point ones in double precision."""

    def wide(leaf: Any) -> np.ndarray:
        array = np.asarray(jax.device_get(leaf))
        return array.astype(np.float64) if np.issubdtype(array.dtype, np.floating) else array

    return jax.tree.map(wide, tree)
