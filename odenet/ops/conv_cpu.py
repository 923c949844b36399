"""The three maps of a convolution on a CPU: which algorithm, and the blocked kernel gradient.

The choices are measured: `python -m benchmarks convolution` times each against XLA's.
"""

import math

import jax.numpy as jnp
from jax import lax

from odenet.ops import conv_xla, winograd
from odenet.ops.conv_xla import Image, Kernel
from odenet.ops.geometry import Geometry

_BLOCK_BYTES = 4 * 2**20
"""Patches of one block: a few of them stay in the last cache."""

_MOST_TAPS = 64
"""Larger kernels are left to XLA: their patches would be written more often than they are used."""


def forward(x: Image, w: Kernel, geometry: Geometry) -> Image:
    """The output: by Winograd's algorithm where it wins, else as XLA does."""
    if winograd.wins(x, w, geometry):
        return winograd.convolve(x, w, geometry)
    return conv_xla.forward(x, w, geometry)


def input_gradient(g: Image, w: Kernel, geometry: Geometry) -> Image:
    """The cotangent of the image: with stride 1, a convolution with the flipped kernel."""
    if geometry.groups > 1 or set(geometry.strides) != {1}:
        return conv_xla.input_gradient(g, w, geometry)
    spatial = tuple(range(w.ndim - 2))
    return forward(g, jnp.swapaxes(jnp.flip(w, spatial), -1, -2), geometry.flipped())


def kernel_gradient(x: Image, g: Image, geometry: Geometry) -> Kernel:
    """The cotangent of the kernel: one matrix product per block of images, with their patches.

    The patches of a block are written once, into the cache, and read from there.
    """
    if geometry.groups > 1 or geometry.num_taps > _MOST_TAPS:
        return conv_xla.kernel_gradient(x, g, geometry)
    batch, columns = x.shape[0], geometry.num_taps * x.shape[-1]
    image_bytes = math.prod(geometry.output_size) * columns * x.dtype.itemsize
    block, num_blocks = _blocks(batch, image_bytes)
    x = lax.pad(
        x,
        jnp.zeros((), x.dtype),
        ((0, block * num_blocks - batch, 0), *((*p, 0) for p in geometry.padding), (0, 0, 0)),
    )
    g = jnp.pad(g, ((0, block * num_blocks - batch), *((0, 0),) * (g.ndim - 1)))
    # A block takes every `num_blocks`-th image: where the batch is sharded, so is each block.
    x = x.reshape(block, num_blocks, *x.shape[1:])
    g = g.reshape(block, num_blocks, *g.shape[1:])
    taps = list(geometry.taps())

    def of_block(x, g):
        pieces = [x[(slice(None), *(slice(*axis) for axis in tap))] for tap in taps]
        patches = jnp.concatenate(pieces, axis=-1).reshape(-1, columns)
        return lax.dot_general(
            g.reshape(-1, g.shape[-1]),
            patches,
            (((0,), (0,)), ((), ())),
            preferred_element_type=total.dtype,
        )

    total = jnp.zeros((g.shape[-1], columns), x.dtype if x.dtype.itemsize >= 4 else jnp.float32)
    if num_blocks == 1:
        total = of_block(x[:, 0], g[:, 0])
    else:
        total = lax.fori_loop(
            0,
            num_blocks,
            lambda i, total: (
                total
                + of_block(
                    lax.dynamic_index_in_dim(x, i, 1, keepdims=False),
                    lax.dynamic_index_in_dim(g, i, 1, keepdims=False),
                )
            ),
            total,
        )
    kernel = total.reshape(-1, *geometry.kernel_size, x.shape[-1])
    return jnp.moveaxis(kernel, 0, -1).astype(x.dtype)


def _blocks(batch: int, image_bytes: int) -> tuple[int, int]:
    """Images per block and number of blocks; a few images of zeros may be added to fit."""
    most = max(1, min(batch, _BLOCK_BYTES // image_bytes))
    divisors = [size for size in range(1, most + 1) if batch % size == 0]
    if divisors[-1] * 2 > most:
        return divisors[-1], batch // divisors[-1]
    return most, -(-batch // most)
