"""Solves that cannot reach t1 say why and where, and never raise inside compiled code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import AdaptiveConfig, DiffraxConfig, Failure

TOLERANCE = 1e-6


def own(**options):
    return AdaptiveConfig(rtol=TOLERANCE, atol=TOLERANCE, **options).build()


def of_diffrax(max_steps=64, solver="tsit5", **options):
    controller = {"rtol": TOLERANCE, "atol": TOLERANCE, **options}
    mapping = {"solver": solver, "controller": controller, "max_steps": max_steps}
    return DiffraxConfig.model_validate(mapping).build()


MAKERS = [own, of_diffrax]


def solver_of(integrator, apply, num_layers):
    """Layer `k` sees the number `k`; every layer has the length 1."""
    fields = LayerFields(apply, jnp.asarray(np.arange(float(num_layers))), num_layers)
    grid = DepthGrid(jnp.asarray(np.ones(num_layers)), num_layers)
    run = jax.jit(lambda h: integrator.integrate(fields, grid, h))
    return lambda h0: run(np.full((2, 1), h0))


def solve(integrator, apply, num_layers):
    return solver_of(integrator, apply, num_layers)(1.0)


@pytest.mark.parametrize("make", [*MAKERS, lambda **o: of_diffrax(solver="kvaerno3", **o)])
def test_field_that_gives_no_number_is_told_with_its_layer_before_steps_run_out(make):
    def breaks_in_the_third(layer, t, h):
        return jnp.where((layer == 2) & (h > 3.4), jnp.nan, jnp.ones_like(h))

    found = solve(make(max_steps=256), breaks_in_the_third, 5)
    assert (int(found.stats.failure), int(found.stats.layer)) == (Failure.NOT_FINITE, 2)
    assert np.all(np.isfinite(found.h1))


@pytest.mark.parametrize("make", MAKERS)
def test_step_that_must_be_shorter_than_allowed_is_told(make):
    def pole(layer, t, h):
        return h**2  # h = 1 / (1 - t)

    run = solver_of(make(max_steps=512, min_step=1e-3), pole, 1)
    shortened = run(1.0)
    assert int(shortened.stats.failure) == Failure.STEP_TOO_SMALL
    assert np.all(np.isfinite(shortened.h1))
    through = run(0.5)
    assert bool(through.stats.success)
    np.testing.assert_allclose(through.h1, 1.0, rtol=1e-5)


@pytest.mark.parametrize("make", MAKERS)
def test_steps_that_run_out_are_told_with_the_first_layer_where_they_did(make):
    def wild(layer, t, h):
        return jnp.where(layer == 0, 1.0, 20 * jnp.cos(40 * t))

    found = solve(make(max_steps=8), lambda k, t, h: wild(k, t, h) * jnp.ones_like(h), 3)
    assert (int(found.stats.failure), int(found.stats.layer)) == (Failure.MAX_STEPS, 1)


@pytest.mark.parametrize("make", MAKERS)
def test_step_past_a_place_without_numbers_is_tried_again_shorter(make):
    def forbidden(layer, t, h):
        return jnp.where(h < 0, jnp.nan, -20 * h)  # no exact state is below 0, long steps are

    found = solve(make(max_steps=256, first_step=1.0), forbidden, 1)
    assert bool(found.stats.success)
    assert int(found.stats.rejected) > 0
    np.testing.assert_allclose(found.h1, np.exp(-20.0), atol=1e-5)


def test_step_to_infinity_is_tried_again_shorter():
    def forbidden(layer, t, h):
        return jnp.where(h < 0, jnp.inf, -20 * h)  # Heun's error over its scale is then inf / inf

    heun = of_diffrax(solver="heun", rtol=1e-3, atol=1e-3, max_steps=512, first_step=1.0)
    found = solve(heun, forbidden, 1)
    assert bool(found.stats.success)
    np.testing.assert_allclose(found.h1, np.exp(-20.0), atol=1e-2)


def test_every_failure_has_a_reason_that_says_what_to_do():
    assert all(failure.reason for failure in Failure)
    assert len({failure.reason for failure in Failure}) == len(Failure)
