"""Derivatives of a path by its field, of any order, against hand-written and nested ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.precision import drawn

from odenet.errors import ConfigError
from odenet.fields import MLPFieldConfig
from odenet.objectives.taylor import path_derivative
from odenet.ops.conv import conv_general_dilated

H0 = np.array([[1.0, -0.5], [0.25, 0.75], [0.3, 0.4]])


def test_path_derivatives_see_the_time_and_nonlinear_fields():
    # h = tan t has h' = 1 + h^2, h'' = 2 h h', h''' = 2 h'^2 + 2 h h''; h = sin t has h' = cos t.
    h = jnp.asarray([[0.7]])
    first = 1 + h**2
    second = 2 * h * first
    for order, expected in ((2, second), (3, 2 * first**2 + 2 * h * second)):
        found = path_derivative(lambda t, h: 1 + h**2, jnp.asarray(0.0), h, order)
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    t = jnp.asarray(0.4)
    for order, expected in ((2, -np.sin(0.4)), (3, -np.cos(0.4))):
        found = path_derivative(lambda t, h: jnp.full_like(h, jnp.cos(t)), t, h, order)
        np.testing.assert_allclose(found, [[expected]], rtol=1e-13)


def by_nested_jvp(field, order):
    """The derivative of a path of that order, by derivatives of derivatives."""
    derivative = field
    for _ in range(order - 1):

        def derivative(t, h, lower=derivative):
            return jax.jvp(lower, (t, h), (jnp.ones_like(t), field(t, h)))[1]

    return derivative


def both_ways(field, t, h, order):
    """The derivative by Taylor series and by nested `jvp`, in one program."""
    return jax.jit(
        lambda t, h: (path_derivative(field, t, h, order), by_nested_jvp(field, order)(t, h))
    )(t, h)


def test_path_derivatives_of_convolutions_are_those_by_nested_jvp(getkey):
    kernel, change = (jax.random.normal(getkey(), (3, 3, 2, 2)) for _ in range(2))

    def field(t, h):  # with a kernel that depends on the time
        shapes = ("NHWC", "HWIO", "NHWC")
        there = kernel + jnp.sin(2 * t) * change
        return conv_general_dilated(jnp.tanh(h), there, (1, 1), "SAME", dimension_numbers=shapes)

    t, h = jnp.asarray(0.3), jax.random.normal(getkey(), (2, 3, 3, 2))
    for order in (2, 3, 4):
        found, expected = both_ways(field, t, h, order)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "silu", "gelu", "elu", "sin"])
def test_path_derivatives_through_activations_are_those_by_nested_jvp(name, getkey):
    config = MLPFieldConfig(activation=name)
    field = drawn(lambda: config.build((3,), True, rngs=nnx.Rngs(0)), 1)
    h = jax.random.normal(getkey(), (2, 3))
    found, expected = both_ways(field, jnp.asarray(0.3), h, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("function", [jax.nn.relu, jax.nn.softplus, jax.lax.lgamma])
def test_field_without_taylor_rule_says_so(function):
    with pytest.raises(ConfigError, match=r"no rule for a part of this field .*activation=tanh"):
        path_derivative(lambda t, h: function(h + t), jnp.asarray(0.1), jnp.asarray(H0), 2)
