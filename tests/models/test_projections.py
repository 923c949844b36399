import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.precision import randomised
from pydantic import TypeAdapter, ValidationError

from odenet.errors import ConfigError
from odenet.models import RegressorConfig
from odenet.models.projections import ProjectionConfig

CONFIG = TypeAdapter(ProjectionConfig)
IMAGE, VECTOR = (5, 4, 2), (3,)


def build(mapping, shape, width):
    config = CONFIG.validate_python(mapping)
    return randomised(config.build(shape, width, rngs=nnx.Rngs(0)), jax.random.key(0))


@pytest.mark.parametrize(
    ("mapping", "shape", "width", "expected"),
    [
        ({"kind": "identity"}, VECTOR, 3, VECTOR),
        ({"kind": "identity"}, IMAGE, 2, IMAGE),
        ({"kind": "flatten"}, IMAGE, 40, (40,)),
        ({"kind": "zero_pad"}, VECTOR, 5, (5,)),
        ({"kind": "zero_pad", "stride": 2}, IMAGE, 4, (3, 2, 4)),
        ({"kind": "zero_pad", "stride": 3}, IMAGE, 2, (2, 2, 2)),
        ({"kind": "linear"}, VECTOR, 7, (7,)),
        ({"kind": "linear"}, IMAGE, 3, (3,)),
        ({"kind": "conv"}, IMAGE, 3, (5, 4, 3)),
        ({"kind": "conv", "stride": 2}, IMAGE, 3, (3, 2, 3)),
        ({"kind": "conv", "stride": 3, "kernel_size": 1}, IMAGE, 6, (2, 2, 6)),
    ],
)
def test_projection_gives_the_shape_that_it_names(mapping, shape, width, expected, getkey):
    projection = build(mapping, shape, width)
    assert projection.shape == expected
    assert projection(jax.random.normal(getkey(), (2, *shape))).shape == (2, *expected)


def test_identity_and_flatten_keep_every_number(getkey):
    x = jax.random.normal(getkey(), (2, *IMAGE))
    numbers = np.asarray(x)
    np.testing.assert_array_equal(build({"kind": "identity"}, IMAGE, 2)(x), numbers)
    flat = numbers.reshape(2, 40)
    np.testing.assert_array_equal(build({"kind": "flatten"}, IMAGE, 40)(x), flat)


def test_zero_pad_keeps_every_stride_th_pixel_and_adds_channels_of_zeros(getkey):
    x = np.asarray(jax.random.normal(getkey(), (2, *IMAGE)))
    y = np.asarray(build({"kind": "zero_pad", "stride": 2}, IMAGE, 5)(jnp.asarray(x)))
    np.testing.assert_array_equal(y[..., :2], x[:, [0, 2, 4]][:, :, [0, 2]])
    np.testing.assert_array_equal(y[..., 2:], np.zeros((2, 3, 2, 3)))


def test_linear_is_an_affine_map_of_the_flattened_state(getkey):
    projection = build({"kind": "linear"}, IMAGE, 3)
    x = jax.random.normal(getkey(), (2, *IMAGE))
    linear = projection.operation.linear
    expected = np.asarray(x).reshape(2, 40) @ np.asarray(linear.kernel[...]) + np.asarray(
        linear.bias[...]
    )
    np.testing.assert_allclose(projection(x), expected, rtol=1e-12)


def test_conv_of_size_one_maps_the_channels_of_every_stride_th_pixel(getkey):
    projection = build({"kind": "conv", "kernel_size": 1, "stride": 2}, IMAGE, 3)
    x = jax.random.normal(getkey(), (2, *IMAGE))
    kernel = np.asarray(projection.operation.kernel[...])[0, 0]
    expected = np.asarray(x)[:, ::2, 0::2] @ kernel + np.asarray(projection.operation.bias[...])
    np.testing.assert_allclose(projection(x), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("mapping", "shape", "width", "message"),
    [
        ({"kind": "identity"}, VECTOR, 4, r"shape \(3,\).*width 4 without a projection; set kind"),
        ({"kind": "identity"}, (4, 3), 3, "projection"),
        ({"kind": "flatten"}, IMAGE, 41, "gives width 40, not 41"),
        ({"kind": "zero_pad"}, VECTOR, 2, "can only add channels"),
        ({"kind": "zero_pad", "stride": 2}, VECTOR, 4, "would ignore stride"),
        ({"kind": "conv"}, VECTOR, 4, "kind=conv acts on images"),
    ],
)
def test_states_that_do_not_fit_are_refused(mapping, shape, width, message):
    with pytest.raises(ConfigError, match=message):
        build(mapping, shape, width)


@pytest.mark.parametrize(
    "mapping",
    [
        {"kind": "linear", "stride": 2},
        {"kind": "identity", "width": 3},
        {"kind": "conv", "stride": 0},
        {"kind": "pool"},
    ],
)
def test_projection_options_that_do_not_exist_are_refused(mapping):
    with pytest.raises(ValidationError):
        CONFIG.validate_python(mapping)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([{"width": 4}, {"width": 6}], r"model\.stages\.1\.projection: .*without a projection"),
        (
            [{"width": 4}, {"width": 2, "projection": {"kind": "zero_pad"}}],
            r"model\.stages\.1\.projection: zero_pad can only add",
        ),
        (
            [{"width": 4, "projection": {"kind": "linear"}}],
            r"model\.stages\.0\.projection would be ignored: model\.stem",
        ),
        (
            [{"width": 4}, {"width": 4, "block": {"kind": "depth", "field": {"kind": "conv"}}}],
            r"model\.stages\.1: field kind=conv acts on images",
        ),
        (
            [{"width": 4, "block": {"kind": "depth", "num_steps": 2, "step_sizes": {"taus": [1]}}}],
            r"model\.stages\.0: taus needs one value per step: num_steps is 2, got 1",
        ),
    ],
)
def test_refusals_name_the_stage(stages, message):
    config = RegressorConfig.model_validate({"stages": stages})
    with pytest.raises(ConfigError, match=message):
        config.build((2,), 1, rngs=nnx.Rngs(0))


def test_refusal_of_the_first_stage_names_the_stem():
    config = RegressorConfig.model_validate({"stem": {"kind": "conv"}, "stages": [{"width": 4}]})
    with pytest.raises(ConfigError, match=r"model\.stem: kind=conv acts on images"):
        config.build((2,), 1, rngs=nnx.Rngs(0))
