"""The three maps of a convolution on a CPU: which algorithm takes which.

The choices are measured: `python -m benchmarks convolution` times each against XLA's.
"""

import jax.numpy as jnp

from odenet.ops import conv_xla, patches, winograd
from odenet.ops.conv_xla import Image, Kernel
from odenet.ops.geometry import Geometry


def forward(x: Image, w: Kernel, geometry: Geometry) -> Image:
    """The output: a product, or by Winograd's algorithm where it wins, or else as XLA does."""
    if _is_product(x, geometry):
        x = patches.padded(x, geometry)
        x = x[(slice(None), *(slice(None, None, stride) for stride in geometry.strides))]
        return x @ w.reshape(w.shape[-2:])
    if winograd.wins(x, w, geometry):
        return winograd.convolve(x, w, geometry)
    return conv_xla.forward(x, w, geometry)


def _is_product(x: Image, geometry: Geometry) -> bool:
    """Whether each output belongs to one pixel: then the images are a matrix as they stand."""
    return geometry.num_taps == 1 and geometry.groups == 1 and x.dtype.itemsize >= 4


def input_gradient(g: Image, w: Kernel, geometry: Geometry) -> Image:
    """The cotangent of the image: with stride 1, a convolution with the flipped kernel."""
    if geometry.groups > 1 or set(geometry.strides) != {1}:
        return conv_xla.input_gradient(g, w, geometry)
    spatial = tuple(range(w.ndim - 2))
    return forward(g, jnp.swapaxes(jnp.flip(w, spatial), -1, -2), geometry.flipped())


def kernel_gradient(x: Image, g: Image, geometry: Geometry) -> Kernel:
    """The cotangent of the kernel: from patches wherever they apply."""
    if not patches.apply(geometry):
        return conv_xla.kernel_gradient(x, g, geometry)
    return patches.kernel_gradient(x, g, geometry)
