"""Adaptive methods where they are hard to use: precision, complex states, failures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from adaptive_solves import solve
from user_settings import settings_of_a_user  # noqa: F401

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import AdaptiveConfig, DiffraxConfig, Failure

KINDS = ("dopri5", "bosh3")
product = pytest.mark.product
MOSTLY_DOPRI5 = ("dopri5", pytest.param("bosh3", marks=product))
DTYPES = (jnp.float16, jnp.bfloat16, jnp.float32)


def decay(t, h):
    return -h


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *(("dopri5", dtype) for dtype in DTYPES),
        ("bosh3", jnp.bfloat16),
        *(pytest.param("bosh3", dtype, marks=product) for dtype in DTYPES[::2]),
    ],
    ids=str,
)
def test_large_states_in_any_precision_decay(kind, dtype):
    found = solve(kind, decay, [0.5, 0.5], jnp.full((1, 1), 1000, dtype), save_path=True)
    assert bool(found.stats.success)
    assert found.h1.dtype == found.path.dtype == dtype
    resolved = float(jnp.finfo(dtype).eps)
    expected = 1000 * np.exp([0, -0.5, -1])
    np.testing.assert_allclose(
        np.asarray(found.path[:, 0, 0], np.float64), expected, rtol=3e-3 + resolved
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16], ids=str)
def test_tolerances_that_half_precision_cannot_resolve_fail_by_precision(kind, dtype):
    found = solve(kind, decay, [1.0], jnp.ones((1, 1), dtype), rtol=1e-6, atol=1e-6)
    assert int(found.stats.failure) == Failure.PRECISION
    assert int(found.stats.accepted) == 0
    assert "precision" in Failure.PRECISION.reason
    assert "float32" in Failure.PRECISION.reason


def test_relative_tolerance_below_half_precision_fails_whatever_the_absolute_one():
    for kind in KINDS:
        found = solve(kind, decay, [1.0], jnp.ones((1, 1), jnp.bfloat16), rtol=1e-6)
        assert int(found.stats.failure) == Failure.PRECISION
        single = solve(kind, decay, [1.0], jnp.ones((1, 1)), rtol=1e-6)
        assert bool(single.stats.success)


@pytest.mark.parametrize("kind", KINDS)
def test_complex_states_turn_by_half_a_circle(kind):
    tight = {"rtol": 1e-6, "atol": 1e-6, "max_steps": 512}
    taus, h0 = np.full(2, np.pi / 2, np.float32), jnp.ones((2, 1), jnp.complex64)
    found = solve(kind, lambda t, h: 1j * h, taus, h0, save_path=True, **tight)
    assert bool(found.stats.success)
    np.testing.assert_allclose(found.path[:, 0, 0], [1, 1j, -1], atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_complex_solves_are_those_of_both_parts(kind):
    def end(x, y, tau):
        h0 = jnp.asarray([[x + 1j * y]])
        rate = {"rtol": 1e-9, "atol": 1e-9, "max_steps": 2048}
        h1 = solve(kind, lambda t, h: (0.3j - 0.1) * h * h, tau[None], h0, **rate).h1[0, 0]
        return jnp.real(h1) + 2 * jnp.imag(h1)

    with jax.enable_x64(True):
        at = (jnp.float64(0.7), jnp.float64(-0.4), jnp.float64(1.2))
        found = jax.jit(jax.grad(end, argnums=(0, 1, 2)))(*at)

        def exact(x, y, tau):
            h1 = 1 / (1 / (x + 1j * y) - (0.3j - 0.1) * tau)
            return h1.real + 2 * h1.imag

        step = 1e-6
        for index, slope in enumerate(found):
            moved = [
                [float(a) + sign * step * (i == index) for i, a in enumerate(at)]
                for sign in (1, -1)
            ]
            expected = (exact(*moved[0]) - exact(*moved[1])) / (2 * step)
            np.testing.assert_allclose(slope, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", MOSTLY_DOPRI5)
def test_first_step_that_leaves_the_domain_of_the_field_is_shortened(kind):
    h0 = jnp.asarray([[1.0], [1e-6]])
    found = solve(kind, lambda t, h: -jnp.sqrt(h), [0.0019], h0)
    assert bool(found.stats.success)
    np.testing.assert_allclose(found.h1[:, 0], [0.9981009, 2.5e-9], rtol=1e-5, atol=5e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_row_that_is_not_a_number_fails_at_once(kind):
    h0 = jnp.asarray([[1.0], [jnp.nan]])
    found = solve(kind, decay, [1.0], h0)
    assert int(found.stats.failure) == Failure.NOT_FINITE
    assert int(found.stats.accepted + found.stats.rejected) == 0
    assert float(found.stats.reached) == 0
    nowhere = solve(kind, lambda t, h: jnp.log(-h), [1.0], jnp.ones((1, 1)))
    assert int(nowhere.stats.failure) == Failure.NOT_FINITE
    assert int(nowhere.stats.rejected) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_path_of_a_failed_solve_ends_where_the_solve_did(kind):
    taus, h0, limit = (
        np.full(8, 0.25, np.float32),
        jnp.ones((2, 1)),
        {"dopri5": 7, "bosh3": 30}[kind],
    )
    found = solve(kind, decay, taus, h0, save_path=True, rtol=1e-6, atol=1e-6, max_steps=limit)
    end = float(found.stats.reached)
    assert int(found.stats.failure) == Failure.MAX_STEPS
    assert 0.25 < end < 2
    times = np.arange(9) * 0.25
    path = np.asarray(found.path[:, 0, 0])
    np.testing.assert_allclose(path[times <= end], np.exp(-times[times <= end]), rtol=1e-4)
    assert np.all(np.isnan(path[times > end]))
    np.testing.assert_allclose(found.h1[0, 0], np.exp(-end), rtol=1e-4)


@pytest.mark.parametrize(
    ("config", "steps", "save_path"),
    [
        (AdaptiveConfig(max_steps=12), 1, False),
        (AdaptiveConfig(max_steps=12), 1, True),
        (AdaptiveConfig(max_steps=12), 2, True),
        (DiffraxConfig(max_steps=12), 1, True),
        (DiffraxConfig(max_steps=12), 2, True),
    ],
    ids=["dopri5", "path", "dense", "tsit5", "tsit5 dense"],
)
def test_failed_layer_ends_the_path_and_tells_the_time(config, steps, save_path):
    fields = LayerFields(lambda rate, t, h: rate * h, jnp.asarray([1.0, 1e4, 1.0]), 3)
    integrator = config.build()
    grid = DepthGrid(jnp.full(3 * steps, 0.1 / steps), 3)
    run = jax.jit(lambda h0: integrator.integrate(fields, grid, h0, save_path=save_path))
    found = run(jnp.ones((1, 1)))
    assert (int(found.stats.failure), int(found.stats.layer)) == (Failure.MAX_STEPS, 1)
    assert 0.1 < float(found.stats.reached) < 0.2
    assert np.isfinite(found.h1).all()
    if save_path:
        path = np.asarray(found.path[:, 0, 0])
        np.testing.assert_allclose(path[steps], np.exp(0.1), rtol=1e-3)
        assert np.all(np.isnan(path[2 * steps :]))


def test_smallest_step_bounds_accepted_steps_too():
    found = solve("dopri5", decay, [1.0], jnp.ones((1, 1)), min_step=0.25, rtol=1e-9, atol=1e-2)
    assert bool(found.stats.success)
    assert int(found.stats.accepted) <= 4
    stuck = solve("dopri5", lambda t, h: -300 * h, [1.0], jnp.ones((1, 1)), min_step=0.25)
    assert int(stuck.stats.failure) == Failure.STEP_TOO_SMALL


@pytest.mark.parametrize("kind", MOSTLY_DOPRI5)
def test_second_derivatives_where_the_estimated_error_is_zero_are_zero(kind):
    def end(h0):
        return jnp.sum(solve(kind, lambda t, h: 0 * h, [1.0], h0[None]).h1)

    hessian = jax.jit(jax.jacfwd(jax.grad(end)))(jnp.ones(2))
    np.testing.assert_array_equal(hessian, np.zeros((2, 2)))
