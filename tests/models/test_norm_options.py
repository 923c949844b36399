"""Options of norms reach every norm of a network; norms over a single value are refused."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from user_settings import as_a_user

from odenet.errors import ConfigError
from odenet.fields import ConvFieldConfig
from odenet.fields.layers import BatchNorm
from odenet.models import ClassifierConfig, ResNetConfig
from odenet.models.head import HeadConfig
from odenet.models.projections import ConvConfig, LinearConfig
from odenet.ops.batch_axis import batch_axis


def norms_of(module):
    return [part for _, part in nnx.iter_graph(module) if isinstance(part, BatchNorm)]


ALWAYS = {
    ("original", "cifar", "zero_pad"),
    ("original", "imagenet", "projection_everywhere"),
    ("original", "vector", "projection"),
    ("full_preactivation", "cifar", "projection_everywhere"),
    ("full_preactivation", "imagenet", "projection"),
    ("full_preactivation", "vector", "zero_pad"),
}
"""Each pair of layout and arrangement once."""


def residual_networks():
    arrangements, layouts = ("original", "full_preactivation"), ("cifar", "imagenet", "vector")
    shortcuts = ("zero_pad", "projection", "projection_everywhere")
    for case in itertools.product(arrangements, layouts, shortcuts):
        yield pytest.param(*case, marks=() if case in ALWAYS else pytest.mark.product)


@pytest.mark.parametrize(("arrangement", "layout", "shortcut"), list(residual_networks()))
def test_epsilon_and_momentum_of_a_residual_network_are_those_of_all_its_norms(
    arrangement, layout, shortcut
):
    config = ResNetConfig.model_validate(
        {
            "layout": layout,
            "depth": 18 if layout == "imagenet" else 14,
            "arrangement": arrangement,
            "shortcut": shortcut,
            "norm_epsilon": 1e-3,
            "momentum": 0.25,
        }
    )
    shape = (3,) if layout == "vector" else (32, 32, 3)
    norms = norms_of(nnx.eval_shape(lambda: config.build(shape, 10, rngs=nnx.Rngs(0))))
    assert len(norms) > 4
    assert {(norm.epsilon, norm.momentum) for norm in norms} == {(1e-3, 0.25)}


def test_stems_projections_and_heads_of_any_network_have_the_options_of_their_norms():
    given = {"norm": "batch", "norm_epsilon": 0.5, "momentum": 1.0}
    for config in (LinearConfig(bias=False, **given), ConvConfig(bias=False, **given)):
        x = np.random.default_rng(0).normal(size=(5, 4, 4, 2)).astype(np.float32)

        @jax.jit
        def outputs(x):
            projection = config.build((4, 4, 2), 3, rngs=nnx.Rngs(0))  # noqa: B023
            (norm,) = norms_of(projection)
            y = projection.operation.affine(x)
            return y, projection(x, training=True), norm.mean[...]

        y, found, mean = map(np.asarray, outputs(x))
        axes = tuple(range(y.ndim - 1))
        expected = (y - y.mean(axes)) / np.sqrt(y.var(axes) + 0.5)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(mean, y.mean(axes), rtol=1e-5, atol=1e-6)
    head = HeadConfig(activation="relu", **given).build(3, 2, rngs=nnx.Rngs(0))
    assert [(norm.epsilon, norm.momentum) for norm in norms_of(head)] == [(0.5, 1.0)]


@pytest.mark.parametrize("config", [LinearConfig, ConvConfig, HeadConfig])
@pytest.mark.parametrize("option", [{"norm_epsilon": 0.5}, {"momentum": 0.5}])
def test_options_of_a_norm_that_is_not_there_are_refused(config, option):
    with pytest.raises(ConfigError, match=f"norm=none would ignore {next(iter(option))}"):
        config(**option)


def shrinking(**options):
    """Images of 4x4 pixels that stages of stride 2 bring to 2x2, then to one pixel."""
    unit = {"kind": "unit", "stride": 2, "shortcut": {"kind": "zero_pad", "stride": 2}}
    values = {
        "stem": {"kind": "conv"},
        "stages": [{"width": 2}] + [{"width": 2, "projection": unit}] * 2,
        "block": {"field": {"kind": "residual"}, "num_steps": 2},
    }
    return ClassifierConfig.model_validate(values | options)


def traced(config, shape, *, training=True, batch=1):
    inputs = jax.ShapeDtypeStruct((batch, *shape), jnp.float32)

    def outputs(x):
        return config.build(shape, 3, rngs=nnx.Rngs(0))(x, training=training).outputs

    return jax.eval_shape(outputs, inputs)


@pytest.fixture
def as_users():
    """Networks are in single precision."""
    with as_a_user():
        yield


def test_norm_over_one_value_is_refused_by_layer(as_users):
    # The last transition still has 2x2 pixels before it, and one after its stride.
    message = r"model.stages.2.projection: norm 0 of a residual branch: .* got one.*larger"
    with pytest.raises(ConfigError, match=message):
        traced(shrinking(), (4, 4, 1))
    for part, message in {
        "stem": r"model.stem: batch norm .*batch_statistics=frozen",
        "block": r"model.stages.0.block: norm 0",
        "head": r"model.head: batch norm",
    }.items():
        config = ClassifierConfig.model_validate({"stages": [{"width": 2}], part: NORMED[part]})
        with pytest.raises(ConfigError, match=message):
            traced(config, (4,))


NORMED = {
    "stem": {"kind": "linear", "norm": "batch", "bias": False},
    "block": {"field": {"kind": "residual"}, "num_steps": 2},
    "head": {"norm": "batch"},
}


def test_two_values_frozen_statistics_and_other_shards_are_enough(as_users):
    assert traced(shrinking(), (4, 4, 1), batch=2).shape == (2, 3)
    assert traced(shrinking(), (4, 4, 1), training=False).shape == (1, 3)
    assert traced(shrinking(), (8, 8, 1)).shape == (1, 3)
    norm = BatchNorm(2, 1e-5, 0.1, rngs=nnx.Rngs(0))
    graphdef, state = nnx.split(norm)

    def sharded(x):
        with batch_axis("shards"):
            return nnx.merge(graphdef, state, copy=True).with_batch_statistics(x)

    found = jax.pmap(sharded, axis_name="shards")(jnp.asarray([[[1.0, 5.0]], [[3.0, 9.0]]]))
    np.testing.assert_allclose(found, [[[-1, -1]], [[1, 1]]], rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        ({}, "num_groups=4"),
        ({"last_norm": True}, "norm=none"),
        ({"num_groups": 4, "hidden": 4}, ""),
    ],
)
def test_group_norm_of_one_value_is_refused(options, fix):
    with pytest.raises(ConfigError, match=f"two values in a group.*1x1 pixels.*{fix}"):
        ConvFieldConfig.model_validate(options).check((1, 1, 8))


@pytest.mark.parametrize("options", [{"num_groups": 4}, {"norm": "none"}])
def test_larger_groups_on_one_pixel_make_a_field_that_moves(options):
    config = ConvFieldConfig.model_validate(options)

    @jax.jit
    def derivative(t, h):
        return config.build((1, 1, 8), False, rngs=nnx.Rngs(0))(t, h)

    h = np.random.default_rng(0).normal(size=(3, 1, 1, 8)).astype(np.float32)
    assert np.abs(derivative(np.float32(0), h)).min() > 0
    ConvFieldConfig().check((1, 2, 8))
