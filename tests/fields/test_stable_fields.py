"""Fields of a stable form against matrices written out, and what their form promises."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fields.transformations import build, normal
from flax import nnx
from pydantic import TypeAdapter, ValidationError

from odenet.errors import ConfigError
from odenet.fields import (
    AntisymmetricFieldConfig,
    HamiltonianFieldConfig,
    ParabolicFieldConfig,
    TwoLayerHamiltonianFieldConfig,
    VectorFieldConfig,
)
from odenet.fields.activations import ActivationName, activation
from odenet.fields.stable import NON_MONOTONE
from odenet.fields.transposed import apply_kernel, init_kernel, transpose_kernel

CONFIG = TypeAdapter(VectorFieldConfig)
SHAPES = {"vectors": (4,), "images": (5, 3, 4)}
HALVED = {
    "hamiltonian": HamiltonianFieldConfig(),
    "two_layer_hamiltonian": TwoLayerHamiltonianFieldConfig(hidden=3),
}
TIME = jnp.asarray(0.7)


def dense(function, shape):
    """The matrix of a linear map of states of `shape`, column by column."""
    size = int(np.prod(shape))
    columns = np.asarray(jax.jit(function)(np.eye(size).reshape(size, *shape)))
    return columns.reshape(size, -1).T


def jacobians(field, states):
    """One matrix for every example."""
    found = jax.jit(jax.vmap(jax.jacfwd(lambda h: field(TIME, h[None])[0])))(states)
    number, *shape = states.shape
    return np.asarray(found).reshape(number, *[int(np.prod(shape))] * 2)


def bias_of(bias, shape):
    """The bias of every component of a flattened state."""
    row = np.asarray(bias.bias[...]) + 0.7 * np.asarray(bias.time.kernel[...])
    return np.broadcast_to(row, (*shape[:-1], len(row))).reshape(-1)


@pytest.mark.parametrize("side", [None, 1, 3, 5])
def test_transposed_map_is_the_transpose_of_its_matrix(side):
    kernel = init_kernel(3, 2, side, "he_fan_in", rngs=nnx.Rngs(1))[...].astype(float)
    before = (3,) if side is None else (4, 6, 3)
    after = (*before[:-1], 2)
    K = dense(lambda x: apply_kernel(kernel, x), before)
    Kt = dense(lambda y: apply_kernel(transpose_kernel(kernel), y), after)
    assert np.abs(K).max() > 0.1
    np.testing.assert_allclose(Kt, K.T, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_antisymmetric_field_equals_its_formula(shape):
    field = build(AntisymmetricFieldConfig(gamma=0.3), shape)
    h = normal(2, *shape)
    K = dense(lambda x: apply_kernel(field.kernel[...], x), shape)
    A = (K - K.T - 0.3 * np.eye(len(K))) / 2
    expected = np.tanh(np.asarray(h).reshape(2, -1) @ A.T + bias_of(field.bias, shape))
    np.testing.assert_allclose(
        jax.jit(field)(TIME, h).reshape(2, -1), expected, rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_parabolic_field_equals_its_formula(shape):
    field = build(ParabolicFieldConfig(hidden=3), shape)
    h = normal(2, *shape)
    K = dense(lambda x: apply_kernel(field.kernel[...], x), shape)
    inner = np.tanh(np.asarray(h).reshape(2, -1) @ K.T + bias_of(field.bias, shape))
    np.testing.assert_allclose(
        jax.jit(field)(TIME, h).reshape(2, -1), -inner @ K, rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("kind", HALVED)
def test_hamiltonian_fields_equal_their_formulas(kind, shape):
    field = build(HALVED[kind], shape)
    half = (*shape[:-1], shape[-1] // 2)
    h = normal(2, *shape)
    y, z = (np.asarray(part).reshape(2, -1) for part in (h[..., :2], h[..., 2:]))
    b1, b2 = (bias_of(bias, half) for bias in (field.bias_y, field.bias_z))
    if kind == "hamiltonian":
        K = dense(lambda x: apply_kernel(field.kernel[...], x), half)
        dy, dz = np.tanh(z @ K.T + b1), -np.tanh(y @ K + b2)
    else:
        K1, K2 = (
            dense(lambda x, k=k: apply_kernel(k[...], x), half)
            for k in (field.kernel_y, field.kernel_z)
        )
        dy, dz = np.tanh(z @ K1.T + b1) @ K1, -np.tanh(y @ K2.T + b2) @ K2
    found = jax.jit(field)(TIME, h)
    for ours, expected in ((found[..., :2], dy), (found[..., 2:], dz)):
        np.testing.assert_allclose(ours.reshape(2, -1), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("kind", HALVED)
def test_no_half_of_a_separable_field_moves_itself(kind, shape):
    assert HALVED[kind].is_separable
    field = build(HALVED[kind], shape)
    assert field.is_separable
    (J,) = jacobians(field, normal(1, *shape))
    J = J.reshape(-1, 2, 2, int(np.prod(shape)) // 4, 2, 2)
    assert np.all(J[:, 0, :, :, 0] == 0)
    assert np.all(J[:, 1, :, :, 1] == 0)
    assert np.abs(J[:, 0, :, :, 1]).max() > 1e-3 < np.abs(J[:, 1, :, :, 0]).max()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_antisymmetric_field_has_no_growing_eigenvalue(shape):
    gamma = 0.3
    field = build(AntisymmetricFieldConfig(gamma=gamma), shape)
    scaled = build(AntisymmetricFieldConfig(gamma=gamma, activation="identity"), shape)
    states = 3 * normal(5, *shape)
    for found in np.linalg.eigvals(jacobians(field, states)):
        assert found.real.max() < 1e-12
        assert np.abs(found.imag).max() > 1e-3
    (linear,) = np.linalg.eigvals(jacobians(scaled, states[:1]))
    np.testing.assert_allclose(linear.real, -gamma / 2, rtol=1e-10)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_parabolic_field_has_a_symmetric_jacobian_without_positive_eigenvalue(shape):
    field = build(ParabolicFieldConfig(hidden=3), shape)
    (J,) = jacobians(field, normal(1, *shape))
    np.testing.assert_allclose(J, J.T, rtol=0, atol=1e-14)
    found = np.linalg.eigvalsh(J)
    assert found.max() < 1e-14
    assert found.min() < -1e-2


@pytest.mark.parametrize("name", sorted(NON_MONOTONE))
def test_refused_activations_are_those_that_fall_somewhere(name):
    for kind in ("antisymmetric", "parabolic"):
        with pytest.raises(ValidationError, match=f"non-decreasing activation, and {name} is not"):
            CONFIG.validate_python({"kind": kind, "activation": name})
    CONFIG.validate_python({"kind": "hamiltonian", "activation": name})


def test_activations_that_are_not_refused_never_fall():
    x = np.linspace(-8, 8, 1601)
    values = jax.jit(lambda x: {name: activation(name)(x) for name in get_args(ActivationName)})(x)
    for name, y in values.items():
        assert np.any(np.diff(y) < 0) == (name in NON_MONOTONE), name


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"kind": "antisymmetric", "gamma": -0.1}, "gamma"),
        ({"kind": "antisymmetric", "hidden": 3}, "hidden"),
        ({"kind": "hamiltonian", "gamma": 0.1}, "gamma"),
        ({"kind": "antisymmetric", "gamma": 0.1, "last_init": "zero"}, "the damping gamma=0.1 st"),
        ({"kind": "antisymmetric", "activation": "sigmoid", "last_init": "1/L"}, "not zero at zer"),
        ({"kind": "hamiltonian", "activation": "relu", "last_init": "zero"}, "not be trainable"),
        ({"kind": "parabolic", "last_init": "zero"}, "transpose of its first"),
        ({"kind": "two_layer_hamiltonian", "last_init": "1/L"}, "a factor would act twice"),
    ],
)
def test_options_that_would_be_ignored_or_break_a_rule_are_refused(mapping, message):
    with pytest.raises(ValidationError, match=message):
        CONFIG.validate_python(mapping)


@pytest.mark.parametrize(
    ("mapping", "shape", "message"),
    [
        ({"kind": "antisymmetric"}, (4, 4), r"acts on vectors .* and images .*shape \(4, 4\)"),
        ({"kind": "parabolic", "kernel_size": 3}, (4,), "would ignore kernel_size=3; remove"),
        ({"kind": "parabolic", "kernel_size": 2}, (4, 4, 2), "must be odd.*got 2"),
        ({"kind": "hamiltonian"}, (3,), r"must be even; got shape \(3,\); use an even"),
        ({"kind": "two_layer_hamiltonian"}, (4, 4, 3), "must be even"),
    ],
)
def test_states_that_do_not_fit_are_refused(mapping, shape, message):
    with pytest.raises(ConfigError, match=message):
        CONFIG.validate_python(mapping).build(shape, False, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("kind", ["antisymmetric", "hamiltonian"])
def test_field_whose_last_map_starts_at_zero_is_zero(kind):
    field = CONFIG.validate_python({"kind": kind, "last_init": "zero"}).build(
        (4,), True, rngs=nnx.Rngs(0)
    )
    h = normal(2, 4, dtype="float32")
    assert not np.any(field(jnp.float32(0.7), h))
