"""The three maps of a convolution as XLA computes them."""

import jax
import jax.numpy as jnp
from jax import lax

from odenet.arrays import Array, Float
from odenet.ops.geometry import Geometry

LAYOUTS = {
    1: ("NHC", "HIO", "NHC"),
    2: ("NHWC", "HWIO", "NHWC"),
    3: ("NHWDC", "HWDIO", "NHWDC"),
}

Image = Float[Array, "..."]
"""`(batch, *spatial, channels)`: an image, or the cotangent of an output."""

Kernel = Float[Array, "..."]
"""`(*kernel_size, channels / groups, outputs)`."""


def forward(x: Image, w: Kernel, geometry: Geometry) -> Image:
    """The output for an image and a kernel."""
    return lax.conv_general_dilated(
        x,
        w,
        geometry.strides,
        geometry.padding,
        rhs_dilation=geometry.dilation,
        dimension_numbers=LAYOUTS[len(geometry.strides)],
        feature_group_count=geometry.groups,
    )


def input_gradient(g: Image, w: Kernel, geometry: Geometry) -> Image:
    """The cotangent of the image for the output's cotangent `g`."""
    channels = w.shape[-2] * geometry.groups
    x = jax.ShapeDtypeStruct((g.shape[0], *geometry.input_size, channels), g.dtype)
    (result,) = jax.linear_transpose(lambda x: forward(x, w, geometry), x)(g)
    return result


def kernel_gradient(x: Image, g: Image, geometry: Geometry) -> Kernel:
    """The cotangent of the kernel for the output's cotangent `g`."""
    channels = x.shape[-1] // geometry.groups
    w = jax.ShapeDtypeStruct((*geometry.kernel_size, channels, g.shape[-1]), x.dtype)
    (result,) = jax.linear_transpose(lambda w: forward(x, w, geometry), w)(g)
    return jnp.asarray(result)
