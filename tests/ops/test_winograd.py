"""The error of Winograd's algorithm in single precision, beside that of the direct sum."""

import jax
import jax.numpy as jnp
import pytest

from odenet.ops import conv_xla, winograd
from odenet.ops.geometry import Geometry


def errors(side, channels, padding, relu):
    """Root-mean-square errors of Winograd's and of the direct algorithm, against float64."""
    keys = jax.random.split(jax.random.key(side + channels), 2)
    x = jax.random.normal(keys[0], (16, side, side, channels), jnp.float32)
    x = jax.nn.relu(x) if relu else x  # with a mean, as behind an activation
    w = jax.random.normal(keys[1], (3, 3, channels, channels), jnp.float32)
    geometry = Geometry((side, side), (3, 3), (1, 1), ((padding,) * 2,) * 2, (1, 1))
    assert winograd.wins(x, w, geometry)
    exact = conv_xla.forward(x.astype(jnp.float64), w.astype(jnp.float64), geometry)
    return [
        float(jnp.sqrt(jnp.mean(jnp.square(jax.jit(f, static_argnums=2)(x, w, geometry) - exact))))
        for f in (
            lambda *a: winograd.convolve(*a).astype(jnp.float64),
            lambda *a: conv_xla.forward(*a).astype(jnp.float64),
        )
    ]


@pytest.mark.parametrize(("relu", "most"), [(False, 0.75), (True, 0.9)])
@pytest.mark.parametrize(
    ("side", "channels", "padding"), [(16, 32, 1), (8, 64, 1), (9, 64, 0), (8, 128, 1)]
)
def test_error_is_smaller_than_that_of_the_direct_sum(side, channels, padding, relu, most):
    ours, direct = errors(side, channels, padding, relu)
    assert 0 < ours < most * direct
