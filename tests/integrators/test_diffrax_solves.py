"""Solves by diffrax as users run them: precision, failures and jumps.

Right values are exact solutions.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from by_diffrax import decay, made, pulse, solved
from pydantic import ValidationError
from user_settings import settings_of_a_user  # noqa: F401

from odenet.integrators import DiffraxConfig, Failure

product = pytest.mark.product
NOT_SOLVED = {
    "solver": "kvaerno3",
    "controller": {"kind": "constant"},
    "root_finder": {"max_iterations": 2, "rtol": 1e-6},
}


@pytest.mark.parametrize(
    "solver", ["implicit_euler", pytest.param("kvaerno4", marks=product), "kvaerno5"]
)
def test_equations_are_solved_to_what_precision_resolves(solver):
    # A stiff field of large states, whose equations are rounded far above atol.
    field = lambda t, h: -2000.0 * (h - 100 * jnp.cos(t))  # noqa: E731
    found = solved(made(solver, 1e-3, 1e-9, max_steps=1024), field, [1.0], [[100.0]])
    assert bool(found.stats.success)
    exact = 100 * (2000.0**2 * np.cos(1.0) + 2000 * np.sin(1.0)) / (1 + 2000.0**2)
    np.testing.assert_allclose(found.h1, [[exact]], rtol=1e-3)


def test_equation_that_is_not_solved_ends_fixed_steps_where_they_are():
    integrator = DiffraxConfig.model_validate(NOT_SOLVED).build()
    stopped = solved(integrator, lambda t, h: -5 * jnp.sin(9 * h), [2.0], [[0.4]])
    assert int(stopped.stats.failure) == Failure.EQUATION
    np.testing.assert_array_equal(stopped.h1, np.asarray([[0.4]], np.float32))
    assert float(stopped.stats.reached) == 0


@pytest.mark.parametrize("solver", ["tsit5", "kvaerno3", pytest.param("dopri8", marks=product)])
def test_first_step_is_chosen_where_its_euler_step_leaves_the_field(solver):
    h0 = np.asarray([[1.0], [1e-6]], np.float32)
    found = solved(made(solver), lambda t, h: -jnp.sqrt(h), [0.0019], h0)
    assert bool(found.stats.success)
    np.testing.assert_allclose(found.h1, (np.sqrt(h0) - 0.0019 / 2) ** 2, rtol=1e-4, atol=1e-8)


def test_half_precision_solves_what_it_resolves():
    found = solved(made(), decay, [1.0], np.full((1, 1), 1000, np.float16))
    assert bool(found.stats.success)
    np.testing.assert_allclose(np.float32(found.h1), 1000 * np.exp(-1), rtol=2e-3)


@pytest.mark.parametrize("solver", ["kvaerno3", pytest.param("bosh3", marks=product)])
def test_half_precision_says_what_it_does_not_resolve(solver):
    narrow = solved(made(solver, 1e-6, 1e-6), decay, [1.0], jnp.ones((1, 1), jnp.bfloat16))
    assert int(narrow.stats.failure) == Failure.PRECISION


with_both_kinds = pytest.mark.parametrize(
    "solver", ["tsit5", pytest.param("kvaerno3", marks=product)]
)


@with_both_kinds
def test_pulse_between_steps_is_missed(solver):
    missed = solved(made(solver), pulse, [1.0], jnp.zeros((1, 1)))
    assert bool(missed.stats.success)
    assert float(missed.h1[0, 0]) == 0  # the trap that the guide tells of


@with_both_kinds
def test_pulse_between_steps_is_met_by_break_points(solver):
    met = solved(made(solver, break_points=[0.5, 0.51]), pulse, [1.0], jnp.zeros((1, 1)))
    np.testing.assert_allclose(met.h1, 1.0, rtol=1e-4)
    assert int(met.stats.accepted) < 20


@with_both_kinds
def test_pulse_between_steps_is_met_by_short_steps(solver):
    short = solved(made(solver, max_step=0.005, max_steps=1024), pulse, [1.0], jnp.zeros((1, 1)))
    np.testing.assert_allclose(short.h1, 1.0, rtol=1e-2)
    assert int(short.stats.accepted) >= 200


@pytest.mark.parametrize("adjoint", ["checkpointed", pytest.param("backsolve", marks=product)])
def test_solve_that_stops_on_the_way_gives_what_it_reached(adjoint):
    blowing_up = lambda t, h: h * h  # noqa: E731  # h = 1 / (1 - t)
    integrator = made("tsit5", 1e-5, 1e-5, adjoint, max_steps=12)
    found = solved(integrator, blowing_up, [0.5] * 4, [[1.0]], save_path=True)
    assert int(found.stats.failure) == Failure.MAX_STEPS
    reached = float(found.stats.reached)
    assert 0.5 < reached < 1
    np.testing.assert_allclose(found.path[:2, 0, 0], [1, 2], rtol=1e-3)
    assert np.all(np.isnan(found.path[2:]))
    np.testing.assert_allclose(found.h1, 1 / (1 - reached), rtol=1e-2)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            {"controller": {"break_points": [0.5]}, "adjoint": {"kind": "backsolve"}},
            "would step over the jumps",
        ),
        ({"controller": {"break_points": [0.5, 0.2]}}, "increasing order"),
        ({"controller": {"max_step": 0.1, "min_step": 0.2}}, "lower min_step"),
        ({"controller": {"kind": "constant", "break_points": [0.5]}}, "break_points"),
    ],
)
def test_limits_of_steps_that_do_not_fit_are_refused(mapping, message):
    with pytest.raises(ValidationError, match=message):
        DiffraxConfig.model_validate(mapping)
