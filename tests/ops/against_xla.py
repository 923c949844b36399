"""Our convolution and XLA's own, arrays for both, and their comparison."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from odenet.ops.conv import conv_general_dilated

LAYOUTS = {1: ("NHC", "HIO", "NHC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NHWDC", "HWDIO", "NHWDC")}


def theirs_and_ours(strides, padding, dilation=None, groups=1):
    options = {
        "window_strides": strides,
        "padding": padding,
        "rhs_dilation": dilation,
        "dimension_numbers": LAYOUTS[len(strides)],
        "feature_group_count": groups,
    }
    return (
        functools.partial(lax.conv_general_dilated, **options),
        functools.partial(conv_general_dilated, **options),
    )


def drawn(seed, *shapes, dtype="float64"):
    """Normal arrays, by NumPy: JAX would compile a program for every shape."""
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape).astype(jnp.dtype(dtype))) for shape in shapes]


def output_shape(f, x_shape, w_shape):
    shapes = (jax.ShapeDtypeStruct(shape, jnp.float64) for shape in (x_shape, w_shape))
    return jax.eval_shape(f, *shapes).shape


def check(ours, theirs, tolerance):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * (1 + np.abs(b).max()))
