import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.precision import drawn, in_float64
from pydantic import TypeAdapter, ValidationError

from odenet.errors import ConfigError
from odenet.models import ClassifierConfig, RegressorConfig, count_parameters
from odenet.models.projections import MatrixConfig, ProjectionConfig

CONFIG = TypeAdapter(ProjectionConfig)
IMAGE, VECTOR = (5, 4, 2), (3,)


def build(mapping, shape, width):
    config = CONFIG.validate_python(mapping)
    return drawn(lambda: config.build(shape, width, rngs=nnx.Rngs(0)), 0)


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
        ({"kind": "matrix"}, VECTOR, 5, (5,)),
        ({"kind": "matrix", "learned": True, "bias": True}, VECTOR, 2, (2,)),
        ({"kind": "matrix", "values": [[1, 2, 3]]}, VECTOR, 1, (1,)),
        ({"kind": "conv"}, IMAGE, 3, (5, 4, 3)),
        ({"kind": "conv", "stride": 2}, IMAGE, 3, (3, 2, 3)),
        ({"kind": "conv", "stride": 3, "kernel_size": 1}, IMAGE, 6, (2, 2, 6)),
    ],
)
def test_projection_gives_the_shape_that_it_names(mapping, shape, width, expected):
    projection = build(mapping, shape, width)
    assert projection.shape == expected
    assert jax.eval_shape(projection, jnp.ones((2, *shape))).shape == (2, *expected)


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


def test_conv_without_bias_has_its_kernel_alone(getkey):
    options = {"kind": "conv", "kernel_size": 1, "stride": 2, "bias": False}
    projection = build(options, IMAGE, 3)
    x = jax.random.normal(getkey(), (2, *IMAGE))
    (kernel,) = jax.tree.leaves(nnx.state(projection))
    expected = np.asarray(x)[:, ::2, ::2] @ np.asarray(kernel)[0, 0]
    np.testing.assert_allclose(projection(x), expected, rtol=1e-12)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_matrix_of_given_numbers_is_that_map(learned, bias, getkey):
    P = [[1.0, -2.0, 0.5], [0.0, 4.0, 0.25]]
    config = MatrixConfig(values=P, learned=learned, bias=bias)
    projection = in_float64(config.build(VECTOR, 2, rngs=nnx.Rngs(0)))
    x = jax.random.normal(getkey(), (4, 3))
    b = np.zeros(2)
    if bias:
        b = np.array([3.0, -1.0])
        projection.operation.bias[...] = jnp.asarray(b)
    expected = [np.asarray(P) @ row + b for row in np.asarray(x)]
    np.testing.assert_allclose(projection(x), expected, rtol=1e-12)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize(("inputs", "width"), [(3, 8), (8, 3), (5, 5)])
def test_drawn_matrix_is_orthogonal_and_decided_by_the_key(inputs, width, learned):
    P, again, other = (
        np.asarray(
            MatrixConfig(learned=learned)
            .build((inputs,), width, rngs=nnx.Rngs(seed))
            .operation.kernel[...]
        ).T
        for seed in (0, 0, 1)
    )
    gram = P @ P.T if width < inputs else P.T @ P
    np.testing.assert_allclose(gram, np.eye(min(inputs, width)), atol=1e-6)
    assert P.tobytes() == again.tobytes() != other.tobytes()


@pytest.mark.parametrize("bias", [False, True])
def test_only_a_learned_matrix_is_a_parameter(bias):
    sizes = [
        sum(leaf.size for leaf in jax.tree.leaves(nnx.state(projection, nnx.Param)))
        for projection in (
            MatrixConfig(learned=learned, bias=bias).build(VECTOR, 4, rngs=nnx.Rngs(0))
            for learned in (False, True)
        )
    ]
    assert sizes == [4 * bias, 3 * 4 + 4 * bias]


def test_learned_matrix_may_be_drawn_by_another_law():
    config = MatrixConfig(learned=True, init="he_fan_in")
    kernel = config.build((300,), 200, rngs=nnx.Rngs(0)).operation.kernel[...]
    assert float(jnp.mean(kernel**2)) == pytest.approx(2 / 300, rel=0.05)


def shapes_of(config, input_shape):
    """A network without numbers."""
    return nnx.eval_shape(lambda: config.build(input_shape, 10, rngs=nnx.Rngs(0)))


def residual_and_plain(projection, blocks, input_shape):
    """Two networks of equal shapes: with shortcuts, and plain."""
    stages = [{"width": 4}, {"width": 8, "projection": projection}]
    stem = {"kind": "conv" if len(input_shape) == 3 else "linear"}
    return [
        shapes_of(
            ClassifierConfig.model_validate({"stem": stem, "stages": stages, "block": block}),
            input_shape,
        )
        for block in blocks
    ]


@pytest.mark.parametrize(
    ("kind", "input_shape", "stride"), [("conv", (8, 8, 3), 2), ("mlp", (6,), 1)]
)
def test_option_a_has_as_many_parameters_as_the_plain_network(kind, input_shape, stride):
    field = {"kind": kind}
    blocks = [
        {"kind": "depth", "num_steps": 3, "field": field},
        {"kind": "feedforward", "num_layers": 3, "field": field},
    ]
    option_a = {"kind": "zero_pad", "stride": stride}
    residual, plain = residual_and_plain(option_a, blocks, input_shape)
    assert count_parameters(residual) == count_parameters(plain)
    assert jax.tree.map(np.shape, nnx.to_pure_dict(nnx.state(residual))) == jax.tree.map(
        np.shape, nnx.to_pure_dict(nnx.state(plain))
    )
    learned = blocks[0] | {"step_sizes": {"kind": "learned"}}
    (with_taus,) = residual_and_plain(option_a, [learned], input_shape)
    assert count_parameters(with_taus) == count_parameters(plain) + 2 * 3


@pytest.mark.parametrize(("width", "weights"), [(8, 4 * 8), (4, 4 * 4)])
def test_options_b_and_c_add_the_weights_of_their_convolution(width, weights):
    convolution = {"kind": "conv", "kernel_size": 1, "stride": 2, "bias": False}
    counts = [
        count_parameters(
            shapes_of(
                ClassifierConfig.model_validate(
                    {
                        "stem": {"kind": "conv"},
                        "stages": [{"width": 4}, {"width": width, "projection": projection}],
                        "block": {"num_steps": 2, "field": {"kind": "conv"}},
                    }
                ),
                (8, 8, 3),
            )
        )
        for projection in (convolution, {"kind": "zero_pad", "stride": 2})
    ]
    assert counts[0] == counts[1] + weights


@pytest.mark.parametrize(
    ("mapping", "shape", "width", "message"),
    [
        ({"kind": "identity"}, VECTOR, 4, r"shape \(3,\).*width 4 without a projection; set kind"),
        ({"kind": "identity"}, (4, 3), 3, "projection"),
        ({"kind": "flatten"}, IMAGE, 41, "gives width 40, not 41"),
        ({"kind": "zero_pad"}, VECTOR, 2, "can only add channels"),
        ({"kind": "zero_pad", "stride": 2}, VECTOR, 4, "would ignore stride"),
        ({"kind": "conv"}, VECTOR, 4, "kind=conv acts on images"),
        ({"kind": "matrix"}, IMAGE, 2, "kind=matrix acts on vectors.*use kind=conv with kernel"),
        (
            {"kind": "matrix", "values": [[1, 2, 3]]},
            VECTOR,
            2,
            r"needs 2 rows of 3 numbers.*got 1 rows of \[3\]",
        ),
        ({"kind": "matrix", "values": [[1, 2], [1]]}, (2,), 2, r"got 2 rows of \[1, 2\]"),
        ({"kind": "matrix", "values": []}, VECTOR, 2, r"got 0 rows of \[\]"),
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
        {"kind": "matrix", "values": [[1.0]], "init": "orthogonal"},
        {"kind": "matrix", "values": [[float("nan")]]},
        {"kind": "matrix", "init": "zero"},
        {"kind": "zero_pad", "init": "orthogonal"},
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
            [{"width": 4, "projection": {"kind": "conv"}}],
            r"model\.stages\.0\.projection: kind=conv acts on images",
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
