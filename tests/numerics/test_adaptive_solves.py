import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.cases import cases
from numerics.methods import FIXED_STEP, adaptive_diffrax
from numerics.precision import drawn
from numerics.problems import (
    EXPONENTIAL,
    LINEAR,
    LOGISTIC,
    STIFF,
    TIME_DEPENDENT,
    together,
)

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.models import DepthBlockConfig

SMOOTH = (EXPONENTIAL, LINEAR, LOGISTIC, TIME_DEPENDENT)


def solver_of(config, problem):
    """Solves by steps of given sizes, as one program for each number of them."""
    fields, integrator = LayerFields.from_function(problem.field), config.build()
    run = jax.jit(lambda taus, h0: integrator.integrate(fields, DepthGrid(taus), h0))
    return lambda taus: run(np.asarray(taus), problem.h0)


def solve(config, problem, taus):
    return solver_of(config, problem)(taus)


@pytest.mark.parametrize("solver", cases(["bosh3", "tsit5", "dopri8"], ["tsit5"]))
def test_tolerance_bounds_the_error(solver):
    problem = together(SMOOTH)
    errors, tried = [], []
    for tolerance in (1e-3, 1e-7):
        result = solve(adaptive_diffrax(solver, tolerance, max_steps=4096), problem, [2.0])
        assert bool(result.stats.success)
        errors.append(np.max(np.abs(result.h1 - problem.flow(2.0))))
        tried.append(int(result.stats.accepted + result.stats.rejected))
        # Errors of single steps add up over the solve and are amplified by its growth.
        assert errors[-1] < 50 * tolerance
    assert errors == sorted(errors, reverse=True)
    assert tried == sorted(tried)
    assert tried[0] < tried[-1]


def test_adaptive_solve_of_stiff_problem_takes_steps_that_its_stability_demands():
    loose = solve(adaptive_diffrax("tsit5", 1e-4), STIFF, [3.0])
    np.testing.assert_allclose(loose.h1, STIFF.flow(3.0), atol=1e-3)
    # |z| < 3.1 bounds the real stability interval of methods of this order and cost.
    assert int(loose.stats.accepted) > 20 * 3.0 / 4


def test_solve_out_of_steps_reports_failure_and_the_steps_it_took():
    result = solve(adaptive_diffrax("tsit5", 1e-8, max_steps=5), LINEAR, [4.0])
    assert not bool(result.stats.success)
    assert int(result.stats.accepted + result.stats.rejected) == 5
    assert np.all(np.isfinite(result.h1))
    assert np.max(np.abs(result.h1 - LINEAR.flow(4.0))) > 1e-3


def test_one_failed_layer_makes_the_whole_integration_fail():
    def apply(rate, t, h):
        return rate * h

    fields = LayerFields(apply, jnp.asarray([1.0, 400.0, 1.0]), 3)
    integrator = adaptive_diffrax("tsit5", 1e-6, max_steps=12).build()
    grid = DepthGrid(jnp.full(3, 0.1), 3)
    stats = jax.jit(lambda h0: integrator.integrate(fields, grid, h0).stats)(jnp.ones((1, 1)))
    assert not bool(stats.success)
    assert 12 < int(stats.accepted + stats.rejected) < 3 * 12


@pytest.mark.parametrize(
    "name",
    cases(["euler", "rk4", "diffrax_tsit5", "adaptive"], ["rk4", "adaptive"]),
)
def test_interval_of_length_zero_is_identity_and_a_tiny_one_nearly(name):
    config = adaptive_diffrax("tsit5", 1e-6) if name == "adaptive" else FIXED_STEP[name][0]
    problem = together(SMOOTH)
    run = solver_of(config, problem)
    stays, nearly = run([0.0, 0.0]), run([1e-14, 0.0])
    np.testing.assert_array_equal(stays.h1, problem.h0)
    np.testing.assert_allclose(nearly.h1, problem.h0, atol=1e-12)
    assert bool(stays.stats.success)
    assert bool(nearly.stats.success)


@pytest.mark.parametrize("name", ["rk4", "diffrax_dopri5", "adaptive"])
def test_negative_steps_go_back_where_positive_ones_came_from(name):
    config = adaptive_diffrax("tsit5", 1e-9) if name == "adaptive" else FIXED_STEP[name][0]
    problem, steps, none = together(SMOOTH), np.full(60, 0.02), np.zeros(60)
    run = solver_of(config, problem)
    np.testing.assert_allclose(run(np.r_[steps, none]).h1, problem.flow(1.2), atol=1e-6)
    back = run(np.r_[steps, -steps])
    if name != "adaptive":  # that solver sees one interval, of length zero
        assert np.max(np.abs(back.h1 - problem.h0)) > 0
    np.testing.assert_allclose(back.h1, problem.h0, atol=1e-6)
    np.testing.assert_allclose(run(np.r_[-steps, none]).h1, problem.flow(-1.2), atol=1e-6)


@pytest.mark.parametrize("name", ["euler", "rk4", "diffrax_dopri8"])
def test_tiny_step_after_a_long_way_is_taken_in_full(name):
    """Adding 1e-12 to the time 1e6 changes nothing; adding it to the state must."""
    speeds = jnp.asarray([0.0, 1e12, 1e12])
    fields = LayerFields(lambda speed, t, h: jnp.full_like(h, speed), speeds, 3)
    integrator = FIXED_STEP[name][0].build()
    grid = DepthGrid(jnp.asarray([1e6, 1e-12, 1e-12]), 3)
    path = jax.jit(lambda h0: integrator.integrate(fields, grid, h0, save_path=True).path)(
        jnp.zeros((1, 1))
    )
    np.testing.assert_allclose(np.diff(np.asarray(path)[1:, 0, 0]), [1.0, 1.0], rtol=1e-9)


def block_of(weights, num_steps, integrator):
    config = DepthBlockConfig(
        num_steps=num_steps,
        weights={"kind": weights},
        step_sizes={"horizon": 1.5},
        integrator=integrator,
    )
    return drawn(lambda: config.build((2,), rngs=nnx.Rngs(0)), seed=1, scale=0.7)


H0 = np.array([[0.4, -1.0]])


def test_adaptive_solve_on_shared_weights_does_not_depend_on_the_number_of_steps():
    ends = [
        jax.jit(block_of("shared", n, adaptive_diffrax("dopri5", 1e-6)))(jnp.asarray(H0))
        for n in (2, 16)
    ]
    np.testing.assert_allclose(ends[0].h1, ends[1].h1, rtol=1e-12)
    assert int(ends[0].stats.accepted) == int(ends[1].stats.accepted)


def test_refined_euler_approaches_adaptive_solve_on_per_layer_weights():
    block = block_of("per_layer", 4, adaptive_diffrax("dopri8", 1e-10))
    exact = jax.jit(block)(jnp.asarray(H0)).h1
    fields, grid, errors = block.weights.fields(), block.grid(), []
    euler = FIXED_STEP["euler"][0].build()
    for factor in (64, 128):
        fine = grid.with_num_steps(4 * factor)
        h1 = jax.jit(lambda h0, fine=fine: euler.integrate(fields, fine, h0).h1)(jnp.asarray(H0))
        errors.append(float(jnp.max(jnp.abs(h1 - exact))))
    assert errors[1] < 0.01
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.1)
