"""Jumps between the steps of adaptive methods: break points, the longest step, and derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from adaptive_solves import solve
from by_diffrax import pulse
from user_settings import settings_of_a_user  # noqa: F401

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import AdaptiveConfig

KINDS = ("dopri5", "bosh3")
MOSTLY_DOPRI5 = ("dopri5", pytest.param("bosh3", marks=pytest.mark.product))


@pytest.mark.parametrize("kind", MOSTLY_DOPRI5)
def test_pulse_is_stepped_over_unless_steps_are_bounded_or_end_at_it(kind):
    h0 = jnp.zeros((1, 1))
    assert float(solve(kind, pulse, [1.0], h0).h1[0, 0]) == 0.0
    bounded = solve(kind, pulse, [1.0], h0, max_step=0.005, max_steps=1024)
    np.testing.assert_allclose(bounded.h1, 1.0, atol=5e-3)
    assert int(bounded.stats.accepted) >= 200
    ends = [0.5, 0.51]
    exact = solve(kind, pulse, [0.25, 0.75], h0, break_points=ends, save_path=True)
    np.testing.assert_allclose(exact.path[:, 0, 0], [0, 0, 1], atol=1e-5)
    back = solve(kind, lambda t, h: pulse(-t, h), [-1.0], h0, break_points=[-0.51, -0.5])
    np.testing.assert_allclose(back.h1, -1.0, rtol=1e-5)
    half = solve(kind, pulse, [1.0], h0.astype(jnp.bfloat16), break_points=ends, rtol=0.01)
    np.testing.assert_allclose(float(half.h1[0, 0]), 1.0, rtol=1e-2)


def test_break_points_belong_to_the_layers_that_they_lie_in():
    fields = LayerFields(lambda k, t, h: k * pulse(t, h), jnp.asarray([2.0, 3.0, 5.0]), 3)
    integrator = AdaptiveConfig(break_points=[0.5, 0.51, 0.9]).build()
    grid = DepthGrid(jnp.asarray([0.4, 0.105, 0.4]), 3)
    h1 = jax.jit(lambda h0: integrator.integrate(fields, grid, h0).h1)(jnp.zeros((1, 1)))
    np.testing.assert_allclose(h1, 3 * 0.5 + 5 * 0.5, rtol=1e-4)


@pytest.mark.parametrize("kind", MOSTLY_DOPRI5)
def test_evaluations_are_counted_where_steps_start_anew(kind):
    times = []

    def field(t, h):
        jax.debug.callback(lambda t: times.append(float(t)), t)
        return pulse(t, h)

    found = jax.block_until_ready(
        solve(kind, field, [1.0], jnp.zeros((1, 1)), break_points=[0.5, 0.51])
    )
    jax.effects_barrier()
    assert int(found.stats.nfe) == len(times)
    assert not {0.5, float(np.float32(0.51))} & set(times)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_leave_break_points_where_they_are(kind):
    def end(taus, height):
        def field(t, h):
            return height * pulse(t, h) * jnp.cos(t) + t * t * h

        tight = {"rtol": 1e-9, "atol": 1e-9, "max_steps": 1024}
        return solve(kind, field, taus, jnp.ones((1, 1)), break_points=[0.5, 0.51], **tight).h1[
            0, 0
        ]

    with jax.enable_x64(True):
        compiled = jax.jit(jax.value_and_grad(end, argnums=(0, 1)))
        value = lambda taus, height: compiled(jnp.asarray(taus), jnp.asarray(height))[0]  # noqa: E731
        taus, height = np.asarray([0.3, 0.5]), 1.3
        _, (d_taus, d_height) = compiled(jnp.asarray(taus), jnp.asarray(height))
        step = 1e-5
        expected = (value(taus + step, height) - value(taus - step, height)) / (4 * step)
        np.testing.assert_allclose(d_taus, [expected, expected], rtol=1e-5)
        expected = (value(taus, height + step) - value(taus, height - step)) / (2 * step)
        np.testing.assert_allclose(d_height, expected, rtol=1e-5)
