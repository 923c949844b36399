"""Group and batch norm against their formulas and the derivatives of these."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.ops.norm import batch_norm, group_norm

EPSILON = 1e-3  # large enough for a wrong place of it to be seen


def group_formula(x, scale, bias, groups):
    parts = x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
    mean = parts.mean(axis=(1, 3), keepdims=True)
    variance = ((parts - mean) ** 2).mean(axis=(1, 3), keepdims=True)
    return ((parts - mean) / (variance + EPSILON) ** 0.5).reshape(x.shape) * scale + bias


def batch_formula(x, scale, bias):
    rows = x.reshape(-1, x.shape[-1])
    mean = rows.mean(axis=0)
    variance = ((rows - mean) ** 2).mean(axis=0)
    return (x - mean) / (variance + EPSILON) ** 0.5 * scale + bias, mean, variance


def drawn(seed, *shape, dtype=np.float64):
    rng = np.random.default_rng(seed)
    x = 2 + 3 * rng.normal(size=shape)
    scale, bias = rng.normal(size=(2, shape[-1]))
    return [np.asarray(part, np.float64).astype(dtype) for part in (x, scale, bias)]


grouped = jax.jit(group_norm, static_argnums=(3, 4))
batched = jax.jit(batch_norm, static_argnums=3)
SHAPES = [(3, 4, 5, 6), (2, 7, 6), (2, 3, 2, 2, 6)]
IN_TURN = [(SHAPES[0], groups) for groups in (1, 2, 3, 6)] + [(SHAPES[1], 3), (SHAPES[2], 2)]
OTHERS = [(s, groups) for s in SHAPES for groups in (1, 2, 3, 6) if (s, groups) not in IN_TURN]


@pytest.mark.parametrize(
    ("shape", "groups"),
    [*IN_TURN, *(pytest.param(*case, marks=pytest.mark.product) for case in OTHERS)],
)
def test_group_norm_equals_its_formula(shape, groups):
    x, scale, bias = drawn(0, *shape)
    found = grouped(x, scale, bias, groups, EPSILON)
    np.testing.assert_allclose(found, group_formula(x, scale, bias, groups), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (9, 6)])
def test_batch_norm_equals_its_formula(shape):
    x, scale, bias = drawn(0, *shape)
    found = batched(x, scale, bias, EPSILON)
    for a, b in zip(found, batch_formula(x, scale, bias), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


NORMS = {
    "group": (lambda *a: group_norm(*a, 2, EPSILON), lambda *a: group_formula(*a, 2)),
    "batch": (
        lambda *a: jnp.concatenate(
            [part.ravel().astype(a[0].dtype) for part in batch_norm(*a, EPSILON)]
        ),
        lambda *a: np.concatenate([part.ravel() for part in batch_formula(*a)]),
    ),
}


@pytest.mark.parametrize("name", NORMS)
def test_derivatives_equal_those_of_the_formula_in_jax(name):
    norm, formula = NORMS[name]

    def in_jax(x, scale, bias):
        if name == "group":
            parts, axes = x.reshape(x.shape[0], -1, 2, x.shape[-1] // 2), (1, 3)
        else:
            parts, axes = x.reshape(-1, x.shape[-1]), (0,)
        mean = jnp.mean(parts, axis=axes, keepdims=True)
        variance = jnp.var(parts, axis=axes, keepdims=True)
        with jax.numpy_rank_promotion("allow"):
            y = ((parts - mean) / jnp.sqrt(variance + EPSILON)).reshape(x.shape) * scale + bias
        if name == "group":
            return y
        return jnp.concatenate([y.ravel(), mean.ravel(), variance.ravel()])

    # The first pixel moves too: that the norms subtract it must leave no trace.
    point, direction = drawn(1, 3, 2, 3, 4), drawn(2, 3, 2, 3, 4)
    value = formula(*point)
    weights = np.random.default_rng(3).normal(size=value.shape)

    def derivatives(f, weights, point, direction):
        primal, tangent = jax.jvp(f, tuple(point), tuple(direction))
        return primal, tangent, *jax.vjp(f, *point)[1](weights)

    both = jax.jit(lambda *at: [derivatives(f, *at) for f in (norm, in_jax)])
    found, expected = both(weights, point, direction)
    np.testing.assert_allclose(found[0], value, rtol=1e-12, atol=1e-12)
    for a, b in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", NORMS)
def test_dtype_is_kept_in_value_and_gradient(name, dtype):
    arguments = drawn(5, 4, 3, 3, 4, dtype=dtype)
    norm, formula = NORMS[name]

    @jax.jit
    def value_and_gradients(*arguments):
        value, pull = jax.vjp(norm, *arguments)
        return value, pull(value)

    value, gradients = value_and_gradients(*arguments)
    assert value.dtype == dtype
    assert {g.dtype for g in gradients} == {jnp.dtype(dtype)}
    exact = formula(*(np.asarray(part, np.float64) for part in arguments))
    tolerance = {"bfloat16": 0.1, "float32": 1e-5, "float64": 1e-12}[jnp.dtype(dtype).name]
    np.testing.assert_allclose(
        np.asarray(value, np.float64), exact, rtol=tolerance, atol=tolerance * 2
    )


@pytest.mark.parametrize("name", NORMS)
def test_vmap_equals_a_loop(name):
    norm, _ = NORMS[name]
    x, scale, bias = drawn(6, 5, 3, 2, 2, 4)
    mapped = jax.jit(jax.vmap(norm, (0, None, None)))(x, scale, bias)
    one_by_one = jax.jit(norm)
    looped = [one_by_one(one, scale, bias) for one in x]
    np.testing.assert_allclose(mapped, looped, rtol=1e-12, atol=1e-12)
