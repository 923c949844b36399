"""The error of Winograd's algorithm in single precision, beside that of direct sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.ops import conv_xla, winograd
from odenet.ops.geometry import Geometry


def term_by_term(x, w, padding):
    """The direct sum in single precision, one term after the other, on any machine the same."""
    around = ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0))
    x, w = np.pad(np.asarray(x), around), np.asarray(w)
    rows, columns = (size - 2 for size in x.shape[1:3])
    total = np.zeros((len(x), rows, columns, w.shape[-1]), np.float32)
    for i, j, channel in np.ndindex(w.shape[:3]):
        seen = x[:, i : i + rows, j : j + columns, channel, None]
        total += seen * w[i, j, channel]
    return total


def errors(side, channels, padding, relu):
    """Root-mean-square errors against float64: Winograd's, a plain sum's, and the compiler's."""
    keys = jax.random.split(jax.random.key(side + channels), 2)
    x = jax.random.normal(keys[0], (16, side, side, channels), jnp.float32)
    x = jax.nn.relu(x) if relu else x  # with a mean, as behind an activation
    w = jax.random.normal(keys[1], (3, 3, channels, channels), jnp.float32)
    geometry = Geometry((side, side), (3, 3), (1, 1), ((padding,) * 2,) * 2, (1, 1))
    assert winograd.wins(x, w, geometry)
    exact = conv_xla.forward(x.astype(jnp.float64), w.astype(jnp.float64), geometry)
    found = (
        jax.jit(winograd.convolve, static_argnums=2)(x, w, geometry),
        term_by_term(x, w, padding),
        jax.jit(conv_xla.forward, static_argnums=2)(x, w, geometry),
    )
    return [float(np.sqrt(np.mean(np.square(np.float64(y) - exact)))) for y in found]


@pytest.mark.parametrize(("relu", "most"), [(False, 0.75), (True, 0.9)])
@pytest.mark.parametrize(
    ("side", "channels", "padding"), [(16, 32, 1), (8, 64, 1), (9, 64, 0), (8, 128, 1)]
)
def test_error_is_smaller_than_that_of_the_direct_sum(side, channels, padding, relu, most):
    ours, direct, compiled = errors(side, channels, padding, relu)
    assert 0 < ours < most * direct
    # How the compiler sums depends on the machine: in blocks, some have less error than others.
    assert ours < 2 * compiled
