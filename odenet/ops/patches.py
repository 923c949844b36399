"""The gradient of a kernel as products of matrices: one for the patches of a block of images.

A patch holds the numbers of one window. The patches of a block are written once, into the cache,
and read from there.
"""

import math

import jax.numpy as jnp
from jax import lax

from odenet.arrays import Array
from odenet.ops.conv_xla import Image, Kernel
from odenet.ops.geometry import Geometry

_BLOCK_BYTES = 4 * 2**20
"""Patches of one block: a few of them stay in the last cache."""

_MOST_TAPS = 64
"""Larger kernels are left to XLA: their patches would be written more often than they are used."""


def apply(geometry: Geometry) -> bool:
    """Whether the kernel is small enough, and sees all channels."""
    return geometry.groups == 1 and geometry.num_taps <= _MOST_TAPS


def kernel_gradient(x: Image, g: Image, geometry: Geometry) -> Kernel:
    """The cotangent of the kernel: the output's cotangents by the patches."""
    columns, outputs = geometry.num_taps * x.shape[-1], g.shape[-1]
    block, num_blocks = _blocks(x, geometry)
    x = _in_blocks(padded(x, geometry), block, num_blocks)
    g = _in_blocks(g, block, num_blocks)
    dtype = x.dtype if x.dtype.itemsize >= 4 else jnp.float32

    def of_block(x: Array, g: Array) -> Array:
        patches, g = _patches(x, geometry), g.reshape(-1, outputs)
        axes = (((0,), (0,)), ((), ()))
        return lax.dot_general(g, patches, axes, preferred_element_type=dtype)

    def add(index: Array, total: Array) -> Array:
        parts = (lax.dynamic_index_in_dim(part, index, 1, keepdims=False) for part in (x, g))
        return total + of_block(*parts)

    if num_blocks == 1:
        total = of_block(x[:, 0], g[:, 0])
    else:
        total = lax.fori_loop(0, num_blocks, add, jnp.zeros((outputs, columns), dtype))
    kernel = total.reshape(-1, *geometry.kernel_size, x.shape[-1])
    return jnp.moveaxis(kernel, 0, -1).astype(x.dtype)


def _patches(x: Array, geometry: Geometry) -> Array:
    """The numbers of each window of padded images, one row for a window."""
    patches = [x[(slice(None), *(slice(*axis) for axis in tap))] for tap in geometry.taps()]
    return jnp.concatenate(patches, axis=-1).reshape(-1, len(patches) * x.shape[-1])


def padded(x: Image, geometry: Geometry) -> Image:
    """The images with their zeros around them."""
    around = ((0, 0, 0), *((*pair, 0) for pair in geometry.padding), (0, 0, 0))
    return lax.pad(x, jnp.zeros((), x.dtype), around)


def _in_blocks(x: Image, block: int, num_blocks: int) -> Array:
    """Shape `(block, num_blocks, ...)`, after some images of zeros where they are needed.

    A block takes every `num_blocks`-th image: where the batch is sharded, so is each block.
    """
    x = jnp.pad(x, ((0, block * num_blocks - x.shape[0]), *((0, 0),) * (x.ndim - 1)))
    return x.reshape(block, num_blocks, *x.shape[1:])


def _blocks(x: Image, geometry: Geometry) -> tuple[int, int]:
    """Images per block and number of blocks; a few images of zeros may be added to fit."""
    batch, taps = x.shape[0], geometry.num_taps
    if taps == 1:
        return batch, 1  # the image itself is the matrix
    image_bytes = math.prod(geometry.output_size) * taps * x.shape[-1] * x.dtype.itemsize
    most = max(1, min(batch, _BLOCK_BYTES // image_bytes))
    divisors = [size for size in range(1, most + 1) if batch % size == 0]
    if divisors[-1] * 2 > most:
        return divisors[-1], batch // divisors[-1]
    return most, -(-batch // most)
