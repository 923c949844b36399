r"""Winograd's algorithm for 3x3 kernels: two by two outputs from four by four inputs.

$y = A^T \left[ (G w G^T) \odot (B^T x B) \right] A$ for every tile (Lavin and Gray 2016,
arXiv:1509.09308, sec. 4.1, $F(2 \times 2, 3 \times 3)$): 16 products instead of 36, in 16 products
of matrices over all tiles. Sums are shorter than in the direct sum term by term, and the error is
smaller: in single precision about two thirds of it for images around zero, and four fifths behind a
ReLU (`tests/ops/test_winograd.py`). XLA sums in blocks, on some machines with less error still.
"""

import itertools
import math

import jax.numpy as jnp
from jax import lax

from odenet.arrays import Array
from odenet.ops.conv_xla import Image, Kernel
from odenet.ops.geometry import Geometry

_LEAST_CHANNELS = 32
_LEAST_TILES = 256


def wins(x: Image, w: Kernel, geometry: Geometry) -> bool:
    """Whether the algorithm applies, and was measured to be faster than XLA's direct one."""
    tiles = x.shape[0] * math.prod(-(-size // 2) for size in geometry.output_size)
    return (
        geometry.kernel_size == (3, 3)
        and geometry.is_dense
        and min(min(pair) for pair in geometry.padding) >= 0
        and min(geometry.output_size) >= 4
        and min(w.shape[-2:]) >= _LEAST_CHANNELS
        and tiles >= _LEAST_TILES
        and x.dtype.itemsize >= 4
    )


def convolve(x: Image, w: Kernel, geometry: Geometry) -> Image:
    """The output of a dense 3x3 convolution."""
    height, width = geometry.output_size
    rows, columns = -(-height // 2), -(-width // 2)
    tiles, channels = (x.shape[0], rows, columns), x.shape[-1]
    (top, _), (left, _) = geometry.padding
    (image_height, image_width) = geometry.input_size
    x = jnp.pad(
        x,
        (
            (0, 0),
            (top, 2 * rows + 2 - top - image_height),
            (left, 2 * columns + 2 - left - image_width),
            (0, 0),
        ),
    )
    kernels = [_kernel(row, 0) for row in _kernel(w, 0)]
    inputs = [_input(row, 2, columns) for row in _input(x, 1, rows)]
    products = [
        [(tile.reshape(-1, channels) @ kernel).reshape(*tiles, -1) for tile, kernel in pairs]
        for pairs in (zip(t, k, strict=True) for t, k in zip(inputs, kernels, strict=True))
    ]
    by_row = zip(*(_output(column) for column in zip(*products, strict=True)), strict=True)
    outputs = [_output(row) for row in by_row]
    y = jnp.zeros((x.shape[0], rows, 2, columns, 2, w.shape[-1]), x.dtype)
    for i, j in itertools.product(range(2), range(2)):
        y = lax.dynamic_update_slice(y, outputs[i][j][:, :, None, :, None], (0, 0, i, 0, j, 0))
    return y.reshape(x.shape[0], 2 * rows, 2 * columns, -1)[:, :height, :width]


def _input(x: Array, axis: int, tiles: int) -> list[Array]:
    """$B^T x$ along one axis, for overlapping tiles of four."""
    a, b, c, d = (
        lax.slice_in_dim(x, start, start + 2 * tiles - 1, stride=2, axis=axis) for start in range(4)
    )
    return [a - c, b + c, c - b, b - d]


def _kernel(w: Array, axis: int) -> list[Array]:
    """$G w$ along one axis of three."""
    a, b, c = (lax.index_in_dim(w, index, axis, keepdims=False) for index in range(3))
    half = jnp.asarray(0.5, w.dtype)
    return [a, half * (a + b + c), half * (a - b + c), c]


def _output(m: tuple[Array, ...] | list[Array]) -> list[Array]:
    """$A^T m$ of four."""
    a, b, c, d = m
    return [a + b + c, b - c - d]
