"""What every vector field must do, and what each one computes, written out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fields.transformations import build, check_transformations, in_turn, normal
from flax import nnx
from pydantic import TypeAdapter, ValidationError

from odenet.errors import ConfigError
from odenet.fields import (
    AntisymmetricFieldConfig,
    ConvFieldConfig,
    HamiltonianFieldConfig,
    MLPFieldConfig,
    ParabolicFieldConfig,
    TwoLayerHamiltonianFieldConfig,
    VectorField,
    VectorFieldConfig,
)

VECTOR, IMAGE = (3,), (5, 4, 4)
CASES = {
    "mlp": (MLPFieldConfig(), VECTOR),
    "mlp_outside": (MLPFieldConfig(form="outside", hidden=(5,), activation="gelu"), VECTOR),
    "mlp_between": (MLPFieldConfig(form="between", hidden=(5, 2)), VECTOR),
    "conv": (ConvFieldConfig(), IMAGE),
    "conv_plain": (ConvFieldConfig(norm="none", hidden=6, kernel_size=1), IMAGE),
    "conv_bottleneck": (
        ConvFieldConfig(
            num_convolutions=3, hidden=(2, 6), kernel_size=(1, 3, 1), last_norm=True, num_groups=2
        ),
        IMAGE,
    ),
    "antisymmetric": (AntisymmetricFieldConfig(gamma=0.3), VECTOR),
    "antisymmetric_images": (AntisymmetricFieldConfig(gamma=0.3), IMAGE),
    "parabolic": (ParabolicFieldConfig(hidden=5), VECTOR),
    "parabolic_images": (ParabolicFieldConfig(kernel_size=5), IMAGE),
    "hamiltonian": (HamiltonianFieldConfig(), (4,)),
    "hamiltonian_images": (HamiltonianFieldConfig(), IMAGE),
    "two_layer_hamiltonian": (TwoLayerHamiltonianFieldConfig(), (4,)),
    "two_layer_hamiltonian_images": (TwoLayerHamiltonianFieldConfig(hidden=3), IMAGE),
}
MAPS = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "identity": lambda x: x}


@pytest.mark.parametrize(("name", "dtype", "takes_time"), in_turn(CASES))
def test_field_keeps_shape_and_dtype_and_obeys_transformations(name, dtype, takes_time):
    config, shape = CASES[name]
    field = build(config, shape, takes_time, dtype)
    assert isinstance(field, VectorField)
    check_transformations(field, takes_time, normal(3, *shape, dtype=dtype))


@pytest.mark.parametrize("form", ["inside", "outside", "between"])
@pytest.mark.parametrize("hidden", [(), (5,), (4, 6)])
@pytest.mark.parametrize("name", MAPS)
def test_mlp_forms_equal_their_formulas(form, hidden, name):
    config = MLPFieldConfig(form=form, hidden=hidden, activation=name)
    field, sigma = build(config, VECTOR, takes_time=False), MAPS[name]
    h = normal(2, 3)
    expected = np.asarray(h)
    for index, affine in enumerate(field.affine):
        W, b = np.asarray(affine.kernel[...]), np.asarray(affine.bias[...])
        if form == "inside":
            expected = sigma(expected @ W + b)
        elif form == "outside":
            expected = sigma(expected) @ W + b
        else:
            expected = (sigma(expected) if index else expected) @ W + b
    np.testing.assert_allclose(field(jnp.asarray(0.0), h), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("form", ["inside", "outside", "between"])
def test_mlp_time_input_is_a_concatenated_column(form):
    t = 0.7
    field = build(MLPFieldConfig(form=form, hidden=(4,)), VECTOR)
    h = normal(2, 3)
    x = np.asarray(h)
    for index, (affine, time) in enumerate(zip(field.affine, field.time, strict=True)):
        if form == "outside" or (form == "between" and index):
            x = np.tanh(x)
        kernel = np.vstack([affine.kernel[...], np.asarray(time.kernel[...])[None]])
        x = np.hstack([x, np.full((2, 1), t)]) @ kernel + np.asarray(affine.bias[...])
        if form == "inside":
            x = np.tanh(x)
    np.testing.assert_allclose(field(jnp.asarray(t), h), x, rtol=1e-12, atol=1e-13)


def convolve(x, kernel, bias):
    """A convolution with zero padding that keeps the size, as loops over the window."""
    size, (height, width) = kernel.shape[0], x.shape[1:3]
    pad = size // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    out = np.zeros((*x.shape[:3], kernel.shape[3])) + bias
    for i in range(size):
        for j in range(size):
            out += padded[:, i : i + height, j : j + width] @ kernel[i, j]
    return out


def group_norm(x, groups, scale, bias, epsilon=1e-6):
    parts = x.reshape(*x.shape[:3], groups, -1)
    mean = parts.mean(axis=(1, 2, 4), keepdims=True)
    variance = parts.var(axis=(1, 2, 4), keepdims=True)
    return ((parts - mean) / np.sqrt(variance + epsilon)).reshape(x.shape) * scale + bias


CONVOLUTIONS = [
    ({}, 4),
    ({"num_groups": 2, "hidden": 6}, 2),
    ({"hidden": 6}, 2),
    ({"norm": "none", "num_convolutions": 3}, 0),
    ({"norm": "none", "num_convolutions": 1, "kernel_size": 5}, 0),
    ({"num_convolutions": 3, "hidden": (2, 6), "kernel_size": (1, 3, 1)}, 2),
    ({"num_convolutions": 3, "hidden": 2, "kernel_size": (3, 1, 5), "num_groups": 1}, 1),
    ({"last_norm": True, "num_groups": 2}, 2),
    ({"last_norm": True, "norm_epsilon": 0.5, "hidden": (6,)}, 2),
    ({"norm_epsilon": 0.5}, 4),
]
WITHOUT_TIME = [
    pytest.param(*case, False, marks=() if index in (0, 3) else pytest.mark.product)
    for index, case in enumerate(CONVOLUTIONS)
]


@pytest.mark.parametrize(
    ("options", "groups", "takes_time"), [*((*case, True) for case in CONVOLUTIONS), *WITHOUT_TIME]
)
def test_conv_field_equals_loops_with_a_concatenated_time_channel(options, groups, takes_time):
    t = 0.7
    field = build(ConvFieldConfig(**options), IMAGE, takes_time)
    h = normal(2, *IMAGE)
    x = np.asarray(h)
    last_norm, epsilon = options.get("last_norm", False), options.get("norm_epsilon", 1e-6)
    assert len(field.norms) == (len(field.convolutions) + last_norm if groups else 0)
    channels = options.get("hidden", IMAGE[-1])
    between = options.get("num_convolutions", 2) - 1
    widths = (*(channels if isinstance(channels, tuple) else (channels,) * between), IMAGE[-1])
    assert tuple(c.kernel.shape[-1] for c in field.convolutions) == widths

    def normed(index, x):
        norm = field.norms[index]
        scale, bias = np.asarray(norm.scale[...]), np.asarray(norm.bias[...])
        return group_norm(x, groups, scale, bias, epsilon)

    for index, convolution in enumerate(field.convolutions):
        x = np.maximum(normed(index, x) if groups else x, 0)
        kernel = np.asarray(convolution.kernel[...])
        if takes_time:
            kernel = np.concatenate([kernel, field.time[index].kernel[...]], axis=2)
            x = np.concatenate([x, np.full((*x.shape[:3], 1), t)], axis=3)
        x = convolve(x, kernel, np.asarray(convolution.bias[...]))
    x = normed(-1, x) if last_norm else x
    np.testing.assert_allclose(jax.jit(field)(jnp.asarray(t), h), x, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("width", "hidden", "expected"), [(64, None, 32), (48, None, 24), (7, None, 7), (16, 24, 8)]
)
def test_number_of_groups_is_the_largest_common_divisor_up_to_32(width, hidden, expected):
    field = nnx.eval_shape(
        lambda: ConvFieldConfig(hidden=hidden).build((2, 2, width), False, rngs=nnx.Rngs(0))
    )
    assert [norm.num_groups for norm in field.norms] == [expected, expected]


@pytest.mark.parametrize(
    ("config", "shape", "message"),
    [
        (MLPFieldConfig(), IMAGE, r"kind=mlp acts on vectors.*shape \(5, 4, 4\); use field kind"),
        (ConvFieldConfig(), VECTOR, r"kind=conv acts on images.*shape \(3,\); use field kind=mlp"),
        (ConvFieldConfig(kernel_size=2), IMAGE, "must be odd.*got 2"),
        (ConvFieldConfig(kernel_size=(3, 4)), IMAGE, r"must be odd.*got \(3, 4\)"),
        (ConvFieldConfig(num_groups=3), IMAGE, "divide the channels 4; got 3"),
        (ConvFieldConfig(num_groups=4, hidden=6), IMAGE, "divide the channels 6; got 4"),
        (ConvFieldConfig(norm="none", num_groups=2), IMAGE, "would ignore num_groups"),
        (ConvFieldConfig(norm="none", norm_epsilon=1e-5), IMAGE, "would ignore norm_epsilon"),
        (ConvFieldConfig(norm="none", last_norm=True), IMAGE, "norm=none would ignore last_norm"),
        (ConvFieldConfig(num_convolutions=1, hidden=3), IMAGE, "would ignore hidden"),
        (
            ConvFieldConfig(num_convolutions=3, kernel_size=(1, 3)),
            IMAGE,
            r"kernel_size needs one number, or 3 for num_convolutions=3; got 2: \[1, 3\]",
        ),
        (
            ConvFieldConfig(num_convolutions=3, hidden=(2,)),
            IMAGE,
            r"hidden needs one number, or 2 for num_convolutions=3; got 1: \[2\]",
        ),
        (
            ConvFieldConfig(num_convolutions=3, hidden=(2, 6), num_groups=4),
            IMAGE,
            "divide the channels 2; got 4",
        ),
    ],
)
def test_states_and_options_that_do_not_fit_are_refused(config, shape, message):
    with pytest.raises(ConfigError, match=message):
        config.build(shape, False, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    "mapping",
    [
        {"kind": "mlp", "kernel_size": 3},
        {"kind": "conv", "form": "inside"},
        {"kind": "mlp", "form": "beside"},
        {"kind": "mlp", "activation": "step"},
        {"kind": "mlp", "hidden": [0]},
        {"kind": "conv", "hidden": [4, 0]},
        {"kind": "conv", "kernel_size": []},
        {"kind": "conv", "norm_epsilon": 0},
        {"kind": "attention"},
    ],
)
def test_field_options_that_do_not_exist_are_refused(mapping):
    with pytest.raises(ValidationError):
        TypeAdapter(VectorFieldConfig).validate_python(mapping)
