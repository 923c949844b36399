"""Where a branch starts: last maps that are zero or scaled by the depth."""

import functools
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fields.transformations import cast, normal
from flax import nnx
from pydantic import ValidationError

from odenet.errors import ConfigError
from odenet.fields import ActivationName, ConvFieldConfig, MLPFieldConfig
from odenet.fields.activations import FLAT_AT_ZERO, NOT_ZERO_AT_ZERO, activation
from odenet.models import DepthBlockConfig, FeedForwardBlockConfig

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
    return cast(config.build(shape, takes_time, depth=depth, rngs=nnx.Rngs(0)))


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
def test_zero_last_makes_the_field_zero_and_lets_it_learn(name, takes_time):
    config, shape = BRANCHES[name]
    h, target = (normal(3, *shape, seed=seed) for seed in (0, 1))
    graphdef, params = nnx.split(built(config, shape, takes_time, last_init="zero"))
    _, unscaled = nnx.split(built(config, shape, takes_time))

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def loss(params):
        found = nnx.merge(graphdef, params)(jnp.asarray(0.6), h)
        return jnp.sum((found - target) ** 2), found

    (_, found), grads = loss(params)
    assert not np.any(found)
    assert np.any(loss(unscaled)[0][1])
    assert all(np.any(g) for g in last_weights(nnx.merge(graphdef, grads)))


@pytest.mark.parametrize("takes_time", [False, True])
@pytest.mark.parametrize(("last_init", "factor"), [("1/L", 1 / 16), ("1/sqrt(L)", 1 / 4)])
@pytest.mark.parametrize("name", BRANCHES)
def test_depth_scaling_multiplies_the_last_map_and_nothing_else(
    name, last_init, factor, takes_time
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
        h, t = normal(3, *shape), jnp.asarray(0.6)
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
