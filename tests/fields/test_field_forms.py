"""Fields made of other fields against their formulas, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fields.transformations import build, check_transformations, in_turn, normal
from flax import nnx
from pydantic import TypeAdapter, ValidationError

from odenet.errors import ConfigError
from odenet.fields import (
    DataControlledFieldConfig,
    DepthAdaptiveFieldConfig,
    SecondOrderFieldConfig,
    VectorFieldConfig,
)
from odenet.models import DepthBlockConfig
from odenet.models.base import BlockConfig

CONFIG = TypeAdapter(VectorFieldConfig)
VECTOR, IMAGE = (4,), (3, 2, 4)
CONV = {"kind": "conv", "kernel_size": 1}
CASES = {
    "second_order": ({"kind": "second_order"}, VECTOR),
    "second_order_hamiltonian": (
        {"kind": "second_order", "inner": {"kind": "hamiltonian"}},
        VECTOR,
    ),
    "second_order_velocity": ({"kind": "second_order", "sees_velocity": True}, VECTOR),
    "second_order_images": ({"kind": "second_order", "inner": CONV}, IMAGE),
    "second_order_velocity_images": (
        {"kind": "second_order", "inner": CONV, "sees_velocity": True},
        IMAGE,
    ),
    "data_controlled": (
        {"kind": "data_controlled", "inner": {"form": "between", "hidden": [5]}},
        VECTOR,
    ),
    "data_controlled_images": ({"kind": "data_controlled", "inner": CONV}, IMAGE),
    "depth_adaptive": ({"kind": "depth_adaptive", "hidden": [3]}, VECTOR),
    "depth_adaptive_images": (
        {"kind": "depth_adaptive", "inner": {"kind": "parabolic"}, "sign": "free"},
        IMAGE,
    ),
}
TIME = jnp.asarray(0.7)


@pytest.mark.parametrize(("name", "dtype", "takes_time"), in_turn(CASES))
def test_form_keeps_shape_and_dtype_and_obeys_transformations(name, dtype, takes_time):
    mapping, shape = CASES[name]
    config = CONFIG.validate_python(mapping)
    field = build(config, shape, takes_time, dtype)
    assert field.takes_start == config.takes_start
    h, start = (normal(3, *shape, seed=seed, dtype=dtype) for seed in (0, 1))
    check_transformations(field, takes_time, h, *(start,) * config.takes_start)


@pytest.mark.parametrize("shape", [VECTOR, IMAGE], ids=["vectors", "images"])
@pytest.mark.parametrize("sees_velocity", [False, True])
def test_second_order_field_equals_its_formula(shape, sees_velocity):
    inner = {"form": "outside"} if len(shape) == 1 else CONV | {"norm": "none"}
    inner = inner | {"activation": "tanh"} | ({"num_convolutions": 1} if len(shape) == 3 else {})
    config = SecondOrderFieldConfig(inner=inner, sees_velocity=sees_velocity)
    field = build(config, shape, takes_time=False)
    h = np.asarray(normal(2, *shape))
    x, v = h[..., :2], h[..., 2:]
    affine = field.inner.affine[0] if len(shape) == 1 else field.inner.convolutions[0]
    W = np.asarray(affine.kernel[...]).reshape(-1, 2)
    force = np.tanh(h if sees_velocity else x) @ W + np.asarray(affine.bias[...])
    expected = np.concatenate([v, force], axis=-1)
    np.testing.assert_allclose(field(TIME, jnp.asarray(h)), expected, rtol=1e-12)


def test_second_order_field_is_separable_unless_it_sees_the_velocity():
    for sees_velocity in (False, True):
        config = SecondOrderFieldConfig(sees_velocity=sees_velocity)
        field = build(config, VECTOR)
        J = jax.jit(jax.jacfwd(lambda h, f=field: f(TIME, h[None])[0]))(normal(*VECTOR))
        assert np.all(np.asarray(J[:2]) == np.eye(4)[2:])
        moves_itself = bool(np.abs(J[2:, 2:]).max() > 1e-3)
        assert moves_itself == sees_velocity
        assert config.is_separable == field.is_separable == (not sees_velocity)


def test_data_controlled_field_equals_its_formula():
    field = build(CONFIG.validate_python(CASES["data_controlled"][0]), VECTOR, takes_time=False)
    h, start = (np.asarray(normal(2, 4, seed=seed)) for seed in (0, 1))
    (W1, b1), (W2, b2) = (
        (np.asarray(a.kernel[...]), np.asarray(a.bias[...])) for a in field.inner.affine
    )
    assert W1.shape == (8, 5)
    expected = np.tanh(np.hstack([h, start]) @ W1 + b1) @ W2 + b2
    found = field(TIME, jnp.asarray(h), jnp.asarray(start))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("sign", ["positive", "free"])
@pytest.mark.parametrize("shape", [VECTOR, IMAGE], ids=["vectors", "images"])
def test_depth_adaptive_field_equals_its_formula(shape, sign):
    inner = {"kind": "parabolic"}
    config = DepthAdaptiveFieldConfig(inner=inner, sign=sign, hidden=(3,))
    field = build(config, shape)
    h, start = (normal(5, *shape, seed=seed) for seed in (0, 1))
    x = np.asarray(start).reshape(5, -1, 4).mean(axis=1)
    hidden, last = field.pace.hidden[0], field.pace.last
    x = np.tanh(x @ np.asarray(hidden.kernel[...]) + np.asarray(hidden.bias[...]))
    z = (x @ np.asarray(last.kernel[...]) + np.asarray(last.bias[...]))[:, 0]
    s = np.log1p(np.exp(z) * (np.e - 1)) if sign == "positive" else 1 + z
    expected = s.reshape(5, *[1] * len(shape)) * np.asarray(field.inner(TIME, h))
    np.testing.assert_allclose(field(TIME, h, start), expected, rtol=1e-12)


@pytest.mark.parametrize("sign", ["positive", "free"])
def test_depth_adaptive_field_starts_as_its_inner_one(sign):
    config = DepthAdaptiveFieldConfig(sign=sign)
    field = config.build(VECTOR, False, rngs=nnx.Rngs(0))
    h, start = (normal(3, 4, seed=seed, dtype="float32") for seed in (0, 1))
    time = jnp.float32(0.7)
    np.testing.assert_allclose(field(time, h, start), field.inner(time, h), rtol=1e-6)


def test_first_weights_of_the_inner_field_follow_the_depth_of_the_block():
    for kind in ("second_order", "data_controlled", "depth_adaptive"):
        made = [
            CONFIG.validate_python(
                {"kind": kind, "inner": {"form": "outside", "last_init": last_init}}
            ).build(VECTOR, False, depth=5, rngs=nnx.Rngs(0))
            for last_init in ("unscaled", "1/L")
        ]
        drawn, scaled = (field.inner.affine[0].kernel[...] for field in made)
        np.testing.assert_allclose(scaled, drawn / 5, rtol=1e-6)
        config = CONFIG.validate_python(
            {"kind": kind, "inner": {"form": "outside", "last_init": "1/L"}}
        )
        assert config.of_one_layer().inner.last_init == "unscaled"


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"kind": "second_order", "last_init": "zero"}, "last_init"),
        ({"kind": "second_order", "inner": {"kind": "residual"}}, "residual"),
        ({"kind": "second_order", "inner": {"kind": "second_order"}}, "second_order"),
        (
            {"kind": "second_order", "inner": {"kind": "parabolic"}, "sees_velocity": True},
            "inner.kind=mlp or conv; got parabolic",
        ),
        ({"kind": "data_controlled", "inner": {"kind": "antisymmetric"}}, "antisymmetric"),
        ({"kind": "data_controlled", "sign": "free"}, "sign"),
        ({"kind": "depth_adaptive", "sign": "negative"}, "sign"),
    ],
)
def test_options_that_do_not_fit_are_refused(mapping, message):
    with pytest.raises(ValidationError, match=message):
        CONFIG.validate_python(mapping)


@pytest.mark.parametrize(
    ("mapping", "shape", "message"),
    [
        ({"kind": "second_order"}, (3,), r"must be even; got shape \(3,\); .* kind=zero_pad"),
        ({"kind": "second_order"}, (4, 4, 2), "kind=mlp acts on vectors"),
        ({"kind": "second_order", "sees_velocity": True}, (4, 4, 2), "kind=mlp acts on vectors"),
        ({"kind": "data_controlled", "inner": CONV}, (4,), "kind=conv acts on images"),
        (
            {"kind": "data_controlled", "inner": CONV | {"num_groups": 4}},
            (2, 2, 6),
            "num_groups must divide",
        ),
        ({"kind": "depth_adaptive", "inner": {"kind": "hamiltonian"}}, (3,), "must be even"),
    ],
)
def test_states_that_do_not_fit_are_refused(mapping, shape, message):
    with pytest.raises(ConfigError, match=message):
        CONFIG.validate_python(mapping).build(shape, False, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("kind", ["second_order", "data_controlled", "depth_adaptive"])
def test_forms_are_no_layers_without_time(kind):
    adapter = TypeAdapter(BlockConfig)
    with pytest.raises(ValidationError, match=f"kind={kind} defines dynamics in time"):
        adapter.validate_python({"kind": "feedforward", "field": {"kind": kind}})


@pytest.mark.parametrize("kind", ["data_controlled", "depth_adaptive"])
def test_fields_that_take_the_first_state_need_steps_of_a_method(kind):
    with pytest.raises(
        ValidationError, match=r"depends on the initial state.*shortcut.kind=identity"
    ):
        DepthBlockConfig.model_validate(
            {"field": {"kind": kind}, "shortcut": {"kind": "scaled", "factor": 0.5}}
        )


def test_data_controlled_field_has_no_weights_without_effect():
    field = DataControlledFieldConfig().build(VECTOR, True, rngs=nnx.Rngs(0))
    shapes = sorted(leaf.shape for leaf in jax.tree.leaves(nnx.state(field, nnx.Param)))
    assert shapes == [(4,), (4,), (8, 4)]


@pytest.mark.parametrize("kind", ["second_order", "depth_adaptive", "data_controlled"])
@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        ("data_controlled", "depends on the initial state of the block"),
        ("residual", "has batch statistics"),
        ("dense", "appends features in every layer"),
    ],
)
def test_inner_field_that_is_not_passed_on_is_refused(kind, inner, reason):
    with pytest.raises(ValidationError, match=f"inner.kind={inner} {reason}, which a wrapping"):
        CONFIG.validate_python({"kind": kind, "inner": {"kind": inner}})
