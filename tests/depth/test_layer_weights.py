import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from odenet.depth.weights import (
    FieldStack,
    LayerFields,
    PerLayerWeightsConfig,
    SharedWeightsConfig,
    SharedWithTimeWeightsConfig,
)
from odenet.errors import ConfigError
from odenet.fields import ConvFieldConfig, MLPFieldConfig

MLP = MLPFieldConfig(hidden=(5,), form="between")


def make_mlp(takes_time, rngs):
    return MLP.build((3,), takes_time, rngs=rngs)


def bytes_of(module):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(nnx.state(module))]


def indexed(num_layers):
    indices = np.arange(num_layers)
    params = {"k": jnp.asarray(indices), "twice": jnp.asarray(2.0 * indices[:, None])}
    return LayerFields(lambda params, t, h: params["twice"] * h, params, num_layers)


@pytest.mark.parametrize(
    ("old", "new", "kept"), [(12, 4, [0, 3, 6, 9]), (12, 1, [0]), (12, 6, [0, 2, 4, 6, 8, 10])]
)
def test_restrict_keeps_the_first_layer_of_every_group(old, new, kept):
    fields = indexed(old).restrict(new)
    assert fields.num_layers == new
    assert fields.params["k"].tolist() == kept
    np.testing.assert_array_equal(fields.params["twice"][:, 0], 2.0 * np.array(kept))


def test_restrict_to_the_same_number_changes_nothing():
    assert indexed(7).restrict(7).params["k"].tolist() == list(range(7))


@pytest.mark.parametrize(("old", "new"), [(12, 5), (3, 6), (7, 2)])
def test_restrict_refuses_what_does_not_divide(old, new):
    with pytest.raises(ConfigError, match=f"{old} layers cannot be sampled by {new} equal steps"):
        indexed(old).restrict(new)


@pytest.mark.parametrize(
    ("config", "num_layers", "takes_time"),
    [
        (SharedWeightsConfig(), 1, False),
        (SharedWithTimeWeightsConfig(), 1, True),
        (PerLayerWeightsConfig(), 6, False),
        (PerLayerWeightsConfig(num_layers=3), 3, False),
    ],
)
def test_weights_have_their_number_of_layers_and_their_time_input(config, num_layers, takes_time):
    stack = config.build(make_mlp, 6, rngs=nnx.Rngs(0))
    assert stack.num_layers == stack.fields().num_layers == num_layers
    leading = {leaf.shape[0] for leaf in jax.tree.leaves(stack.fields().params)}
    assert leading == {num_layers}
    assert (len(stack.stacked.time) > 0) == takes_time


def test_number_of_layers_that_does_not_divide_the_steps_is_refused():
    with pytest.raises(ConfigError, match=r"num_steps=12; got 5; nearest: \[3, 4, 6\]"):
        PerLayerWeightsConfig(num_layers=5).build(make_mlp, 12, rngs=nnx.Rngs(0))


def make_conv(takes_time, rngs):
    return ConvFieldConfig().build((4, 4, 2), takes_time, rngs=rngs)


@pytest.mark.parametrize(("make", "part"), [(make_mlp, "affine"), (make_conv, "convolutions")])
def test_initial_weights_of_any_two_layers_differ(make, part):
    stack = FieldStack(make, 5, False, rngs=nnx.Rngs(0))
    for weights in getattr(stack.stacked, part):
        kernels = np.asarray(weights.kernel[...]).reshape(5, -1)
        for i in range(5):
            for j in range(i):
                assert np.max(np.abs(kernels[i] - kernels[j])) > 0.01


def test_same_key_gives_the_same_bytes_and_another_key_others():
    first, again, other = (FieldStack(make_mlp, 3, True, rngs=nnx.Rngs(seed)) for seed in (0, 0, 1))
    assert bytes_of(first) == bytes_of(again)
    assert bytes_of(first) != bytes_of(other)


def test_layers_that_draw_once_begin_alike_at_every_depth():
    config = PerLayerWeightsConfig(initialise="once")
    shallow, deep = (config.build(make_mlp, n, rngs=nnx.Rngs(0)) for n in (3, 12))
    for few, many in zip(
        jax.tree.leaves(nnx.state(shallow)), jax.tree.leaves(nnx.state(deep)), strict=True
    ):
        assert (few.shape[0], many.shape[0]) == (3, 12)
        np.testing.assert_array_equal(many, np.broadcast_to(few[:1], many.shape))
    kernel = np.asarray(shallow.stacked.affine[0].kernel[...])
    assert kernel.std() > 0.1


def test_initial_kernels_have_the_variance_of_their_fan_in():
    wide = MLPFieldConfig()
    stack = FieldStack(
        lambda takes_time, rngs: wide.build((50,), takes_time, rngs=rngs),
        40,
        True,
        rngs=nnx.Rngs(0),
    )
    kernel, time_kernel = (
        np.asarray(part[0].kernel[...]) for part in (stack.stacked.affine, stack.stacked.time)
    )
    assert kernel.std() * np.sqrt(50) == pytest.approx(1, abs=0.05)
    assert time_kernel.std() * np.sqrt(51) == pytest.approx(1, abs=0.05)


def test_stacked_fields_are_the_fields_of_their_layers(getkey):
    stack = FieldStack(make_mlp, 4, False, rngs=nnx.Rngs(0))
    fields = stack.fields()
    h = jax.random.normal(getkey(), (2, 3), jnp.float32)
    (W1, b1), (W2, b2) = (
        (np.asarray(affine.kernel[...]), np.asarray(affine.bias[...]))
        for affine in stack.stacked.affine
    )
    for k in range(4):
        params = jax.tree.map(lambda leaf, k=k: leaf[k], fields.params)
        expected = np.tanh(np.asarray(h) @ W1[k] + b1[k]) @ W2[k] + b2[k]
        np.testing.assert_allclose(fields.apply(params, jnp.float32(0), h), expected, rtol=1e-5)
