"""Initial weights against the formulas of their papers."""

import math
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from odenet.fields import ConvFieldConfig, MLPFieldConfig
from odenet.fields.initialisers import InitialiserName, kernel_initialiser
from odenet.models.head import Head
from odenet.models.projections import ConvConfig, LinearConfig

VARIANCE = {
    "lecun_normal": lambda n, m: 1 / n,
    "lecun_uniform": lambda n, m: 1 / n,
    "uniform_fan_in": lambda n, m: (1 / math.sqrt(n)) ** 2 / 3,
    "glorot_normal": lambda n, m: 2 / (n + m),
    "glorot_uniform": lambda n, m: (math.sqrt(6) / math.sqrt(n + m)) ** 2 / 3,
    "he_fan_in": lambda n, m: math.sqrt(2 / n) ** 2,
    "he_fan_out": lambda n, m: math.sqrt(2 / m) ** 2,  # sqrt(2 / (k k n_out)) in He's code
}
"""Variance of a weight by `fan_in` and `fan_out`."""

LARGE = {"matrix": ((400, 150), 400, 150), "kernel": ((3, 3, 40, 90), 9 * 40, 9 * 90)}


def draw(name, shape, seed=3):
    weights = kernel_initialiser(name)(jax.random.key(seed), shape, jnp.float32)
    return np.asarray(weights, np.float64)


def assert_variance(weights, expected):
    """Mean zero and the expected variance, within five standard errors of normal draws."""
    number = weights.size
    assert abs(weights.mean()) < 5 * math.sqrt(expected / number)
    assert np.mean(weights**2) == pytest.approx(expected, rel=5 * math.sqrt(2 / number))


@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("name", VARIANCE)
def test_variance_is_that_of_the_paper(name, shape):
    shape, fan_in, fan_out = LARGE[shape]
    assert_variance(draw(name, shape), VARIANCE[name](fan_in, fan_out))


def test_every_name_has_a_test():
    assert {*VARIANCE, "orthogonal"} == set(get_args(InitialiserName))


@pytest.mark.parametrize("name", VARIANCE)
def test_distribution_is_the_one_named(name):
    weights = draw(name, (500, 400))
    std = math.sqrt(VARIANCE[name](500, 400))
    largest = np.abs(weights).max() / std
    if "uniform" in name:
        assert largest == pytest.approx(math.sqrt(3), rel=1e-3)
    elif name == "lecun_normal":
        assert largest == pytest.approx(2 / 0.8796256610, rel=1e-2)
    else:
        assert largest > 4
        assert np.mean((weights / std) ** 4) == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize("shape", [(20, 20), (30, 7), (7, 30), (3, 3, 4, 5), (1, 1, 4, 9)])
def test_orthogonal_weights_have_orthonormal_rows_or_columns(shape):
    matrix = draw("orthogonal", shape).reshape(-1, shape[-1])
    rows, columns = matrix.shape
    gram = matrix @ matrix.T if rows < columns else matrix.T @ matrix
    np.testing.assert_allclose(gram, np.eye(min(rows, columns)), atol=2e-6)
    assert not np.array_equal(matrix, draw("orthogonal", shape, seed=4).reshape(-1, shape[-1]))


MAPS = {
    "mlp": lambda name, rngs: (
        MLPFieldConfig(init=name).build((300,), False, rngs=rngs).affine[0].kernel,
        (300, 300),
    ),
    "conv": lambda name, rngs: (
        ConvFieldConfig(init=name, hidden=80)
        .build((2, 2, 40), False, rngs=rngs)
        .convolutions[0]
        .kernel,
        (9 * 40, 9 * 80),
    ),
    "linear": lambda name, rngs: (
        LinearConfig(init=name).build((300,), 200, rngs=rngs).operation.linear.kernel,
        (300, 200),
    ),
    "conv_projection": lambda name, rngs: (
        ConvConfig(init=name, stride=2).build((2, 2, 40), 80, rngs=rngs).operation.kernel,
        (9 * 40, 9 * 80),
    ),
    "head": lambda name, rngs: (
        Head(300, 200, "identity", name, rngs=rngs).linear.kernel,
        (300, 200),
    ),
}


@pytest.mark.parametrize("name", ["glorot_normal", "he_fan_out", "lecun_normal"])
@pytest.mark.parametrize("part", MAPS)
def test_init_reaches_the_weights_of_every_part(part, name):
    kernel, fans = MAPS[part](name, nnx.Rngs(0))
    assert_variance(np.asarray(kernel[...], np.float64), VARIANCE[name](*fans))


@pytest.mark.parametrize(
    "name",
    [
        *("uniform_fan_in", "glorot_normal", "he_fan_out", "orthogonal"),
        *(
            pytest.param(name, marks=pytest.mark.product)
            for name in ("lecun_normal", "lecun_uniform", "glorot_uniform", "he_fan_in")
        ),
    ],
)
def test_weights_of_the_time_have_the_variance_of_the_others(name):
    mlp = MLPFieldConfig(init=name, hidden=(2000,)).build((10,), True, rngs=nnx.Rngs(0))
    conv = ConvFieldConfig(init=name, hidden=500).build((2, 2, 4), True, rngs=nnx.Rngs(0))
    formula = VARIANCE.get(name, lambda n, m: 1 / max(n, m))
    assert_variance(np.asarray(mlp.time[0].kernel[...], np.float64), formula(11, 2000))
    outputs = 500 if name == "orthogonal" else 9 * 500
    assert_variance(np.asarray(conv.time[0].kernel[...], np.float64), formula(9 * 5, outputs))
    if "uniform" in name:
        bound = math.sqrt(3 * formula(11, 2000))
        assert float(jnp.max(jnp.abs(mlp.time[0].kernel[...]))) <= bound * (1 + 1e-6)


def test_without_options_weights_are_those_of_flax_byte_for_byte():
    field = MLPFieldConfig(hidden=(5,)).build((3,), True, rngs=nnx.Rngs(0))
    images = ConvFieldConfig(hidden=5).build((4, 4, 3), True, rngs=nnx.Rngs(0))
    rngs, others = nnx.Rngs(0), nnx.Rngs(0)
    pairs = [
        (field.affine[0].kernel, nnx.Linear(3, 5, rngs=rngs).kernel),
        (field.affine[1].kernel, nnx.Linear(5, 3, rngs=rngs).kernel),
        (field.time[0].kernel, jax.random.normal(rngs.params(), (5,), jnp.float32) / math.sqrt(4)),
        (images.convolutions[0].kernel, nnx.Conv(3, 5, (3, 3), rngs=others).kernel),
        (images.convolutions[1].kernel, nnx.Conv(5, 3, (3, 3), rngs=others).kernel),
        (
            images.time[0].kernel,
            jax.random.normal(others.params(), (3, 3, 1, 5), jnp.float32) / math.sqrt(36),
        ),
        (
            LinearConfig().build((3,), 5, rngs=nnx.Rngs(1)).operation.linear.kernel,
            nnx.Linear(3, 5, rngs=nnx.Rngs(1)).kernel,
        ),
    ]
    for ours, theirs in pairs:
        assert np.asarray(ours[...]).tobytes() == np.asarray(theirs[...]).tobytes()
