"""Digits that group and batch norm keep: large means, constant channels, half precision, shards."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.ops.batch_axis import batch_axis
from odenet.ops.norm import batch_norm, frozen_norm, group_norm

grouped = jax.jit(group_norm, static_argnums=(3, 4))
batched = jax.jit(batch_norm, static_argnums=3)
frozen = jax.jit(frozen_norm, static_argnums=5)


def test_large_mean_costs_no_digits_of_the_variance():
    x = (1e4 + np.random.default_rng(0).normal(size=(8, 16, 16, 4))).astype(np.float32)
    exact = x.astype(np.float64).var(axis=(0, 1, 2))
    one, zero = np.ones(4, np.float32), np.zeros(4, np.float32)
    y, mean, variance = batched(x, one, zero, 1e-5)
    np.testing.assert_allclose(variance, exact, rtol=1e-3)
    np.testing.assert_allclose(mean, x.astype(np.float64).mean(axis=(0, 1, 2)), rtol=1e-6)
    expected = (x - x.mean(axis=(0, 1, 2), dtype=np.float64)) / np.sqrt(exact + 1e-5)
    np.testing.assert_allclose(y, expected, atol=2e-2)
    by_groups = grouped(x, one, zero, 2, 1e-5)
    parts = x.astype(np.float64).reshape(8, 16, 16, 2, 2)
    mean, std = (f(parts, axis=(1, 2, 4), keepdims=True) for f in (np.mean, np.std))
    np.testing.assert_allclose(by_groups, ((parts - mean) / std).reshape(x.shape), atol=2e-2)
    # The textbook's one pass loses them all.
    naive = np.mean(x**2, axis=(0, 1, 2)) - np.mean(x, axis=(0, 1, 2)) ** 2
    assert np.abs(naive / exact - 1).max() > 1


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


CONSTANTS = (12345.678, 0.1, -3e4)
BIAS = np.asarray([0.5, -1.0, 0.0, 2.0])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
@pytest.mark.parametrize("name", EXACT)
def test_constant_channels_give_the_bias(name, dtype):
    norm = jax.jit(EXACT[name][0])
    for value in CONSTANTS:
        x = np.full((1, 3, 3, 4), value).astype(dtype)
        y = norm(x, np.ones(4).astype(dtype), BIAS.astype(dtype))
        np.testing.assert_array_equal(y, np.broadcast_to(BIAS.astype(dtype), y.shape))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_statistics_of_constant_channels_are_exact(dtype):
    scale, bias = np.ones(4).astype(dtype), BIAS.astype(dtype)
    for value in CONSTANTS:
        x = np.full((1, 3, 3, 4), value).astype(dtype)
        _, mean, variance = map(np.asarray, batched(x, scale, bias, 1e-5))
        np.testing.assert_array_equal(variance, np.zeros(4))
        np.testing.assert_array_equal(mean, x[0, 0, 0])
        y = frozen(x, scale, bias, mean.astype(dtype), variance.astype(dtype), 1e-5)
        np.testing.assert_array_equal(y[0, 0, 0], bias)


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
        *operands, g = operands
        value, pull = jax.vjp(norm, *operands)
        return value, *pull(g)

    found = jax.jit(functools.partial(with_gradients, norm))(x, scale, bias, g)
    exact = jax.jit(functools.partial(with_gradients, formula))
    expected = exact(*(np.asarray(a, np.float64) for a in (x, scale, bias, g)))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


@pytest.mark.parametrize("name", EXACT)
def test_squares_beyond_half_precision_are_summed_in_single(name):
    x = (1e4 * np.random.default_rng(0).normal(size=(4, 3, 3, 4))).astype(np.float16)
    norm, formula = EXACT[name]
    one, zero = np.ones(4, np.float16), np.zeros(4, np.float16)
    expected = jax.jit(formula)(*(part.astype(float) for part in (x, one, zero)))
    found = jax.jit(norm)(x, one, zero)
    assert found.dtype == jnp.float16
    np.testing.assert_allclose(np.asarray(found, float), expected, rtol=2e-3, atol=2e-3)


def test_frozen_statistics_keep_the_digits_beside_a_large_mean():
    x = (12345.678 + 1e-2 * np.random.default_rng(0).normal(size=(8, 4, 4, 3))).astype(np.float32)
    exact = x.astype(np.float64)
    mean, variance = exact.mean(axis=(0, 1, 2)).astype(np.float32), exact.var(axis=(0, 1, 2))
    one, zero = np.ones(3, np.float32), np.zeros(3, np.float32)
    found = frozen(x, one, zero, mean, variance.astype(np.float32), 1e-5)
    expected = (exact - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_shards_of_a_batch_give_what_the_whole_batch_gives():
    constant = np.full((3, 2, 3, 3, 4), 12345.678, np.float32)
    near = (12345.678 + np.random.default_rng(0).normal(size=(3, 2, 3, 3, 4))).astype(np.float32)
    scale, bias = np.ones(4, np.float32), np.asarray([0.5, -1.0, 0.0, 2.0], np.float32)

    def sharded(x):
        with batch_axis("shards"):
            return by_batch(x, jnp.asarray(scale), jnp.asarray(bias))

    mapped = jax.pmap(sharded, axis_name="shards")
    np.testing.assert_array_equal(mapped(constant), np.broadcast_to(bias, constant.shape))
    exact = (part.astype(float) for part in (near.reshape(6, 3, 3, 4), scale, bias))
    whole = jax.jit(EXACT["batch"][1])(*exact)
    np.testing.assert_allclose(mapped(near).reshape(whole.shape), whole, rtol=1e-4, atol=1e-4)
