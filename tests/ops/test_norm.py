"""Group and batch norm against their formulas, and against finite differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.ops.batch_axis import batch_axis
from odenet.ops.norm import batch_norm, frozen_norm, group_norm

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


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (2, 7, 6), (2, 3, 2, 2, 6)])
def test_group_norm_equals_its_formula(shape, groups):
    x, scale, bias = drawn(0, *shape)
    found = group_norm(*map(jnp.asarray, (x, scale, bias)), groups, EPSILON)
    np.testing.assert_allclose(found, group_formula(x, scale, bias, groups), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (9, 6)])
def test_batch_norm_equals_its_formula(shape):
    x, scale, bias = drawn(0, *shape)
    found = batch_norm(*map(jnp.asarray, (x, scale, bias)), EPSILON)
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
def test_derivatives_equal_finite_differences_of_the_formula(name):
    norm, formula = NORMS[name]
    point, direction = drawn(1, 3, 2, 3, 4), drawn(2, 3, 2, 3, 4)
    # The first pixel moves too: that the norms subtract it must leave no trace.
    step = 1e-5
    ahead = formula(*(p + step * d for p, d in zip(point, direction, strict=True)))
    behind = formula(*(p - step * d for p, d in zip(point, direction, strict=True)))
    expected = (ahead - behind) / (2 * step)
    arguments, tangents = (tuple(map(jnp.asarray, v)) for v in (point, direction))
    value, tangent = jax.jvp(norm, arguments, tangents)
    np.testing.assert_allclose(value, formula(*point), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(tangent, expected, rtol=1e-7, atol=1e-7)
    weights = jnp.asarray(np.random.default_rng(3).normal(size=value.shape))
    gradients = jax.vjp(norm, *arguments)[1](weights)
    along = sum(jnp.vdot(g, d) for g, d in zip(gradients, tangents, strict=True))
    np.testing.assert_allclose(along, np.vdot(weights, expected), rtol=1e-7)


@pytest.mark.parametrize("name", NORMS)
def test_gradients_equal_those_of_the_formula_in_jax(name):
    norm, _ = NORMS[name]

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

    arguments = tuple(map(jnp.asarray, drawn(4, 3, 2, 3, 4)))
    weights = jnp.asarray(np.random.default_rng(3).normal(size=norm(*arguments).shape))
    found, expected = (jax.vjp(f, *arguments)[1](weights) for f in (norm, in_jax))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


def test_large_mean_costs_no_digits_of_the_variance():
    x = (1e4 + np.random.default_rng(0).normal(size=(8, 16, 16, 4))).astype(np.float32)
    exact = x.astype(np.float64).var(axis=(0, 1, 2))
    one, zero = jnp.ones(4, jnp.float32), jnp.zeros(4, jnp.float32)
    y, mean, variance = batch_norm(jnp.asarray(x), one, zero, 1e-5)
    np.testing.assert_allclose(variance, exact, rtol=1e-3)
    np.testing.assert_allclose(mean, x.astype(np.float64).mean(axis=(0, 1, 2)), rtol=1e-6)
    expected = (x - x.mean(axis=(0, 1, 2), dtype=np.float64)) / np.sqrt(exact + 1e-5)
    np.testing.assert_allclose(y, expected, atol=2e-2)
    grouped = group_norm(jnp.asarray(x), one, zero, 2, 1e-5)
    parts = x.astype(np.float64).reshape(8, 16, 16, 2, 2)
    mean, std = (f(parts, axis=(1, 2, 4), keepdims=True) for f in (np.mean, np.std))
    np.testing.assert_allclose(grouped, ((parts - mean) / std).reshape(x.shape), atol=2e-2)
    # The textbook's one pass loses them all.
    naive = np.mean(x**2, axis=(0, 1, 2)) - np.mean(x, axis=(0, 1, 2)) ** 2
    assert np.abs(naive / exact - 1).max() > 1


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", NORMS)
def test_dtype_is_kept_in_value_and_gradient(name, dtype):
    arguments = [jnp.asarray(part).astype(dtype) for part in drawn(5, 4, 3, 3, 4)]
    norm, formula = NORMS[name]
    value, pull = jax.vjp(norm, *arguments)
    assert value.dtype == dtype
    assert {g.dtype for g in pull(value)} == {jnp.dtype(dtype)}
    exact = formula(*(np.asarray(part, np.float64) for part in arguments))
    tolerance = {"bfloat16": 0.1, "float32": 1e-5, "float64": 1e-12}[jnp.dtype(dtype).name]
    np.testing.assert_allclose(
        np.asarray(value, np.float64), exact, rtol=tolerance, atol=tolerance * 2
    )


@pytest.mark.parametrize("name", NORMS)
def test_vmap_equals_a_loop(name):
    norm, _ = NORMS[name]
    x, scale, bias = map(jnp.asarray, drawn(6, 5, 3, 2, 2, 4))
    mapped = jax.vmap(norm, (0, None, None))(x, scale, bias)
    looped = jnp.stack([norm(one, scale, bias) for one in x])
    np.testing.assert_allclose(mapped, looped, rtol=1e-12, atol=1e-12)


def by_batch(x, scale, bias):
    return batch_norm(x, scale, bias, 1e-5)[0]


def by_group(x, scale, bias):
    return group_norm(x, scale, bias, 2, 1e-5)


def by_formula(x, scale, bias, groups):
    """In double precision, with the derivatives of jax."""
    parts = x.reshape(x.shape[0], -1, groups, 4 // groups)
    axes = (1, 3) if groups == 2 else (0, 1, 3)
    centred = parts - jnp.mean(parts, axes, keepdims=True)
    variance = jnp.mean(centred * centred, axes, keepdims=True)
    with jax.numpy_rank_promotion("allow"):
        return (centred / jnp.sqrt(variance + 1e-5)).reshape(x.shape) * scale + bias


EXACT = {
    "batch": (by_batch, functools.partial(by_formula, groups=4)),
    "group": (by_group, functools.partial(by_formula, groups=2)),
}


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
@pytest.mark.parametrize("name", EXACT)
def test_constant_channels_give_the_bias(name, dtype):
    norm, _ = EXACT[name]
    for value in (12345.678, 0.1, -3e4):
        x = jnp.full((1, 3, 3, 4), value, dtype)
        scale, bias = jnp.ones(4, dtype), jnp.asarray([0.5, -1.0, 0.0, 2.0], dtype)
        y = jax.jit(norm)(x, scale, bias)
        np.testing.assert_array_equal(y, jnp.broadcast_to(bias[None, None, None], y.shape))
    _, mean, variance = batch_norm(x, scale, bias, 1e-5)
    np.testing.assert_array_equal(variance, np.zeros(4))
    np.testing.assert_array_equal(mean, x[0, 0, 0])
    statistics = mean.astype(dtype), variance.astype(dtype)
    np.testing.assert_array_equal(frozen_norm(x, scale, bias, *statistics, 1e-5)[0, 0, 0], bias)


@pytest.mark.parametrize("name", EXACT)
def test_channels_that_differ_in_their_last_digits_are_normalised_as_in_double_precision(name):
    rng = np.random.default_rng(0)
    last_digit = np.spacing(np.float32(12345.678))
    # Two thirds of the numbers are one value, so that the rounded mean is that value.
    steps = rng.choice([0, 0, 1], size=(2, 5, 5, 4)) + np.array([0, 0, 0, 2])
    x = (np.float32(12345.678) + steps * last_digit).astype(np.float32)
    scale, bias, g = (rng.normal(size=s).astype(np.float32) for s in ((4,), (4,), x.shape))
    norm, formula = EXACT[name]

    def with_gradients(norm, *operands):
        *operands, g = (jnp.asarray(operand) for operand in operands)
        value, pull = jax.vjp(norm, *operands)
        return value, *pull(g)

    found = jax.jit(functools.partial(with_gradients, norm))(x, scale, bias, g)
    expected = with_gradients(formula, *(np.asarray(a, np.float64) for a in (x, scale, bias, g)))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


@pytest.mark.parametrize("name", EXACT)
def test_squares_beyond_half_precision_are_summed_in_single(name):
    x = (1e4 * np.random.default_rng(0).normal(size=(4, 3, 3, 4))).astype(np.float16)
    norm, formula = EXACT[name]
    one, zero = jnp.ones(4, jnp.float16), jnp.zeros(4, jnp.float16)
    expected = formula(jnp.asarray(x, float), jnp.ones(4), jnp.zeros(4))
    found = norm(jnp.asarray(x), one, zero)
    assert found.dtype == jnp.float16
    np.testing.assert_allclose(np.asarray(found, float), expected, rtol=2e-3, atol=2e-3)


def test_frozen_statistics_keep_the_digits_beside_a_large_mean():
    x = (12345.678 + 1e-2 * np.random.default_rng(0).normal(size=(8, 4, 4, 3))).astype(np.float32)
    exact = x.astype(np.float64)
    mean, variance = exact.mean(axis=(0, 1, 2)).astype(np.float32), exact.var(axis=(0, 1, 2))
    one, zero = jnp.ones(3, jnp.float32), jnp.zeros(3, jnp.float32)
    statistics = jnp.asarray(mean), jnp.asarray(variance, jnp.float32)
    found = frozen_norm(jnp.asarray(x), one, zero, *statistics, 1e-5)
    expected = (exact - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_shards_of_a_batch_give_what_the_whole_batch_gives():
    constant = np.full((3, 1, 3, 3, 4), 12345.678, np.float32)
    near = (12345.678 + np.random.default_rng(0).normal(size=(3, 2, 3, 3, 4))).astype(np.float32)
    scale, bias = np.ones(4, np.float32), np.asarray([0.5, -1.0, 0.0, 2.0], np.float32)

    def sharded(x):
        with batch_axis("shards"):
            return by_batch(x, jnp.asarray(scale), jnp.asarray(bias))

    mapped = jax.pmap(sharded, axis_name="shards")
    np.testing.assert_array_equal(mapped(constant), np.broadcast_to(bias, constant.shape))
    exact = (jnp.asarray(part, float) for part in (near.reshape(6, 3, 3, 4), scale, bias))
    whole = by_formula(*exact, groups=4)
    np.testing.assert_allclose(mapped(near).reshape(whole.shape), whole, rtol=1e-4, atol=1e-4)
