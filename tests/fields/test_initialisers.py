"""Initial weights against the formulas of their papers, and where a branch starts."""

import math
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.precision import in_float64
from pydantic import ValidationError

from odenet.errors import ConfigError
from odenet.fields import ActivationName, ConvFieldConfig, MLPFieldConfig
from odenet.fields.activations import FLAT_AT_ZERO, NOT_ZERO_AT_ZERO, activation
from odenet.fields.initialisers import InitialiserName, kernel_initialiser
from odenet.models import DepthBlockConfig, FeedForwardBlockConfig
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


@pytest.mark.parametrize("name", [*VARIANCE, "orthogonal"])
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


BRANCHES = {
    "inside": (MLPFieldConfig(hidden=(5,)), (3,)),
    "outside": (MLPFieldConfig(form="outside", activation="sigmoid"), (3,)),
    "between": (MLPFieldConfig(form="between", hidden=(5,), activation="softplus"), (3,)),
    "conv": (ConvFieldConfig(), (4, 4, 2)),
    "conv_norm": (ConvFieldConfig(last_norm=True), (4, 4, 2)),
    "conv_plain": (ConvFieldConfig(norm="none", num_convolutions=1), (4, 4, 2)),
}


def built(config, shape, takes_time, depth=None, **options):
    config = type(config).model_validate(config.model_dump() | options)
    return in_float64(config.build(shape, takes_time, depth=depth, rngs=nnx.Rngs(0)))


def last_weights(field):
    """The arrays of the last map, by their place in the field."""
    if isinstance(field, nnx.Module) and hasattr(field, "affine"):
        layers = [field.affine[-1].kernel, *(time.kernel for time in field.time[-1:])]
    elif len(field.norms) > len(field.convolutions):
        layers = [field.norms[-1].scale]
    else:
        layers = [field.convolutions[-1].kernel, *(time.kernel for time in field.time[-1:])]
    return [np.asarray(layer[...]) for layer in layers]


@pytest.mark.parametrize("takes_time", [False, True])
@pytest.mark.parametrize("name", BRANCHES)
def test_zero_last_makes_the_field_zero_and_lets_it_learn(name, takes_time, getkey):
    config, shape = BRANCHES[name]
    h, t = jax.random.normal(getkey(), (3, *shape)), jnp.asarray(0.6)
    field = built(config, shape, takes_time, last_init="zero")
    assert not np.any(field(t, h))
    assert np.any(built(config, shape, takes_time)(t, h))
    graphdef, params = nnx.split(field)
    target = jax.random.normal(getkey(), h.shape)
    grads = jax.grad(lambda p: jnp.sum((nnx.merge(graphdef, p)(t, h) - target) ** 2))(params)
    assert all(np.any(g) for g in last_weights(nnx.merge(graphdef, grads)))


@pytest.mark.parametrize("takes_time", [False, True])
@pytest.mark.parametrize(("last_init", "factor"), [("1/L", 1 / 16), ("1/sqrt(L)", 1 / 4)])
@pytest.mark.parametrize("name", BRANCHES)
def test_depth_scaling_multiplies_the_last_map_and_nothing_else(
    name, last_init, factor, takes_time, getkey
):
    config, shape = BRANCHES[name]
    plain = built(config, shape, takes_time)
    scaled = built(config, shape, takes_time, depth=16, last_init=last_init)
    for before, after in zip(last_weights(plain), last_weights(scaled), strict=True):
        np.testing.assert_array_equal(after, factor * before)
    changed = [
        not np.array_equal(a, b)
        for a, b in zip(
            jax.tree.leaves(nnx.state(plain)), jax.tree.leaves(nnx.state(scaled)), strict=True
        )
    ]
    assert sum(changed) == len(last_weights(plain))
    if name != "inside":  # which ends with its activation
        h, t = jax.random.normal(getkey(), (3, *shape)), jnp.asarray(0.6)
        np.testing.assert_allclose(scaled(t, h), factor * plain(t, h), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("weights", ["per_layer", "shared", "shared_with_time"])
def test_depth_is_the_number_of_steps_of_the_block(weights):
    field = {"form": "outside", "last_init": "1/L"}
    kernels = [
        DepthBlockConfig(num_steps=8, weights={"kind": weights}, field=field | options)
        .build((3,), rngs=nnx.Rngs(0))
        .weights.stacked.affine[0]
        .kernel[...]
        for options in ({}, {"last_init": "unscaled"})
    ]
    np.testing.assert_array_equal(8 * np.asarray(kernels[0]), np.asarray(kernels[1]))


def norm_ratio(last_init, depth):
    """`|h_L - h_0| / |h_0|` through `depth` layers of Marion et al.'s network."""
    block = DepthBlockConfig(
        num_steps=depth,
        field={
            "form": "between",
            "activation": "relu",
            "hidden": [40],
            "init": "lecun_uniform",
            "last_init": last_init,
        },
    ).build((40,), rngs=nnx.Rngs(0))
    h0 = jax.random.normal(jax.random.key(1), (20, 40), jnp.float32)
    return float(jnp.linalg.norm(block(h0).h1 - h0) / jnp.linalg.norm(h0))


def test_independent_layers_move_the_state_as_marion_et_al_say():
    short, deep = ({f: norm_ratio(f, depth) for f in ("1/L", "1/sqrt(L)")} for depth in (16, 1024))
    assert deep["1/sqrt(L)"] == pytest.approx(short["1/sqrt(L)"], rel=0.3)
    assert deep["1/L"] == pytest.approx(short["1/L"] / 8, rel=0.3)  # (1024 / 16) ** -0.5


@pytest.mark.parametrize("name", get_args(ActivationName))
def test_activations_that_forbid_a_small_field_are_known(name):
    sigma = activation(name)
    zero = jnp.zeros(())
    assert (name in NOT_ZERO_AT_ZERO) == (float(sigma(zero)) != 0)
    assert (name in FLAT_AT_ZERO) == (float(jax.grad(sigma)(zero)) == 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "sigmoid", "last_init": "zero"}, "sigmoid, which is not zero at zero"),
        ({"activation": "softplus", "last_init": "1/L"}, "would not make the field small"),
        ({"activation": "relu", "last_init": "zero"}, "relu, whose derivative at zero is zero"),
        ({"last_init": "1/2"}, "unscaled"),
        ({"init": "xavier"}, "glorot_uniform"),
        ({"init": "zero"}, "glorot_uniform"),
    ],
)
def test_fields_that_could_not_start_that_way_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        MLPFieldConfig.model_validate(options)


@pytest.mark.parametrize("last_init", ["1/L", "1/sqrt(L)"])
def test_depth_scaling_of_one_layer_or_of_no_known_depth_is_refused(last_init):
    field = MLPFieldConfig(last_init=last_init)
    block = DepthBlockConfig(num_steps=1, field=field)
    with pytest.raises(ConfigError, match=r"would be ignored: .*, 1 here; use num_steps"):
        block.build((3,), rngs=nnx.Rngs(0))
    with pytest.raises(ConfigError, match="which is unknown here"):
        field.build((3,), False, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("last_init", ["zero", "1/L", "1/sqrt(L)"])
def test_feedforward_layers_have_no_branch_to_scale(last_init):
    with pytest.raises(ConfigError, match=r"field\.last_init=.*no shortcut"):
        FeedForwardBlockConfig(field={"kind": "conv", "last_init": last_init})
