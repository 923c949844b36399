"""A linear map `K` of vectors or images, and its exact transpose."""

import jax.numpy as jnp
from flax import nnx

from odenet.arrays import After, Array, Before, Float
from odenet.fields.initialisers import InitialiserName, kernel_initialiser
from odenet.ops.conv import conv_general_dilated

Kernel = Float[Array, "*sides inputs outputs"]
"""A matrix `(inputs, outputs)`, or square kernels `(side, side, inputs, outputs)` of odd side."""


def init_kernel(
    inputs: int, outputs: int, side: int | None, init: InitialiserName, *, rngs: nnx.Rngs
) -> nnx.Param:
    """The initialised kernel of a linear map.

    Args:
        inputs: Width of the vectors, or channels of the images, before the map.
        outputs: Width of the vectors, or channels of the images, after the map.
        side: Side of the kernels of a convolution, odd; None for a matrix.
        init: Name of the initialiser of the weights.
        rngs: Random keys.
    """
    sides = () if side is None else (side, side)
    shape = (*sides, inputs, outputs)
    return nnx.Param(kernel_initialiser(init)(rngs.params(), shape, jnp.float32))


def apply_kernel(kernel: Kernel, x: Before) -> After:
    """`K x`: a product with a matrix, or a convolution that keeps height and width.

    Args:
        kernel: See `Kernel`.
        x: Vectors `(batch, inputs)`, or images `(batch, height, width, inputs)`, padded by zeros.
    """
    if kernel.ndim == 2:
        return x @ kernel
    layout = ("NHWC", "HWIO", "NHWC")
    return conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)


def transpose_kernel(kernel: Kernel) -> Float[Array, "*sides outputs inputs"]:
    """The kernel of the transposed map, with `<K x, y> = <x, K^T y>` for all `x` and `y`.

    The transpose of a convolution with zero padding, stride 1 and odd sides is the convolution
    with the mirrored kernel and exchanged inputs and outputs; this also holds at the borders of
    the image.
    """
    if kernel.ndim == 2:
        return kernel.T
    return jnp.swapaxes(jnp.flip(kernel, (0, 1)), 2, 3)
