"""The norm of errors over the whole batch: its formula, its range, shards and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.integrators.shared_control import batch_rms
from odenet.ops.batch_axis import batch_axis

rms = jax.jit(batch_rms)


@pytest.mark.parametrize("size", [1e-30, 1e25, 5e37])
def test_norm_of_large_and_small_numbers_neither_overflows_nor_vanishes(size):
    error = np.asarray([[3.0, 4.0], [0.0, 0.0]], np.float32) * np.float32(size)
    np.testing.assert_allclose(rms(error), 2.5 * size, rtol=1e-6)
    half = np.asarray([[300.0, 400.0]], np.float16)
    np.testing.assert_allclose(rms(half), np.sqrt(125000.0), rtol=1e-6)
    for number in (np.nan, np.inf):
        error[0, 0] = number
        assert not np.isfinite(rms(error))


def test_norm_in_double_precision_does_not_overflow():
    np.testing.assert_allclose(rms(np.full((2, 2), 1e250)), 1e250, rtol=1e-12)


def test_norm_of_complex_numbers_is_that_of_their_moduli():
    moduli = np.asarray([[3 + 4j, 0.0]], np.complex64)
    np.testing.assert_allclose(rms(moduli), 5 / np.sqrt(2), rtol=1e-6)


def test_batch_rms_is_the_root_mean_square_and_has_a_derivative_at_zero():
    error = np.array([[3.0, 4.0], [0.0, 5.0]])
    assert float(rms(jnp.asarray(error))) == pytest.approx(np.sqrt(50 / 4), rel=1e-15)
    np.testing.assert_array_equal(jax.jit(jax.grad(batch_rms))(jnp.zeros((2, 2))), np.zeros((2, 2)))


def test_batch_rms_covers_all_shards_of_a_mapped_axis():
    error = np.arange(8.0).reshape(4, 2)

    def shard(part):
        with batch_axis("devices"):
            return batch_rms(part)

    whole = np.sqrt(np.mean(error**2))
    np.testing.assert_allclose(
        jax.jit(jax.vmap(shard, axis_name="devices"))(jnp.asarray(error)),
        np.full(4, whole),
        rtol=1e-14,
    )
    alone = jax.jit(jax.vmap(batch_rms))(jnp.asarray(error))
    np.testing.assert_allclose(alone, np.sqrt(np.mean(error**2, axis=1)), rtol=1e-14)
