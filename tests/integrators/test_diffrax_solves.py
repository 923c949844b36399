"""Solves by diffrax as users run them: precision, derivatives, failures and jumps.

Right values are exact solutions.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import ValidationError
from user_settings import settings_of_a_user  # noqa: F401

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.errors import DerivativeError, StateTypeError
from odenet.integrators import DiffraxConfig, Failure

ADJOINTS = ["checkpointed", "direct", "backsolve"]
IMPLICIT_AND_NOT = [("kvaerno3", "checkpointed"), ("tsit5", "direct"), ("kvaerno3", "backsolve")]
NOT_A_NUMBER = [*IMPLICIT_AND_NOT, ("implicit_euler", "direct"), ("heun", "backsolve")]


def made(solver="tsit5", rtol=1e-3, atol=1e-3, adjoint="checkpointed", max_steps=256, **control):
    mapping = {
        "solver": solver,
        "controller": {"rtol": rtol, "atol": atol, **control},
        "adjoint": {"kind": adjoint},
        "max_steps": max_steps,
    }
    return DiffraxConfig.model_validate(mapping).build()


def solved(integrator, field, taus, h0, **options):
    fields, grid = LayerFields.from_function(field), DepthGrid(jnp.asarray(taus), 1)
    return jax.jit(lambda h0: integrator.integrate(fields, grid, h0, **options))(jnp.asarray(h0))


def decay(t, h):
    return -h


def growth(t, h):
    return h


@pytest.mark.parametrize(
    ("field", "sign", "atol", "steps"), [(growth, 1, 1e-4, 71), (decay, -1, 1e-9, 70)]
)
def test_implicit_solver_in_single_precision_reaches_t1_with_its_gradient(field, sign, atol, steps):
    integrator = made("kvaerno3", 1e-4, atol)
    fields, grid = LayerFields.from_function(field), DepthGrid(jnp.asarray([7.0]), 1)

    @jax.jit
    def both(scale):
        def end(scale):
            found = integrator.integrate(fields, grid, scale * jnp.ones((1, 1)))
            return found.h1[0, 0], found.stats

        return jax.value_and_grad(end, has_aux=True)(scale)

    (value, stats), slope = both(1.0)
    assert bool(stats.success)
    assert int(stats.accepted + stats.rejected) <= steps + 3
    np.testing.assert_allclose([value, slope], np.exp([7.0 * sign] * 2), rtol=5e-4)


@pytest.mark.parametrize("solver", ["implicit_euler", "kvaerno4", "kvaerno5"])
def test_equations_are_solved_to_what_precision_resolves(solver):
    # A stiff field of large states, whose equations are rounded far above atol.
    field = lambda t, h: -2000.0 * (h - 100 * jnp.cos(t))  # noqa: E731
    found = solved(made(solver, 1e-3, 1e-9, max_steps=1024), field, [1.0], [[100.0]])
    assert bool(found.stats.success)
    exact = 100 * (2000.0**2 * np.cos(1.0) + 2000 * np.sin(1.0)) / (1 + 2000.0**2)
    np.testing.assert_allclose(found.h1, [[exact]], rtol=1e-3)


def test_equation_that_is_not_solved_ends_fixed_steps_where_they_are():
    few = {**FEW, "solver": "kvaerno3"}
    integrator = DiffraxConfig.model_validate(few).build()
    stopped = solved(integrator, lambda t, h: -5 * jnp.sin(9 * h), [2.0], [[0.4]])
    assert int(stopped.stats.failure) == Failure.EQUATION
    np.testing.assert_array_equal(stopped.h1, np.asarray([[0.4]], np.float32))
    assert float(stopped.stats.reached) == 0


FEW = {"controller": {"kind": "constant"}, "root_finder": {"max_iterations": 2, "rtol": 1e-6}}


@pytest.mark.parametrize(("solver", "adjoint"), NOT_A_NUMBER)
def test_row_that_is_not_a_number_is_told_at_once_and_raises_nowhere(solver, adjoint):
    integrator = made(solver, adjoint=adjoint)
    fields, grid = LayerFields.from_function(decay), DepthGrid(jnp.ones(1))

    def end(h0):
        found = integrator.integrate(fields, grid, h0)
        return jnp.sum(found.h1), found.stats

    h0 = jnp.asarray([[1.0], [jnp.nan]])
    slope, stats = jax.jit(jax.grad(end, has_aux=True))(h0)
    jax.block_until_ready(slope)
    assert int(stats.failure) == Failure.NOT_FINITE
    assert int(stats.accepted + stats.rejected) == 0


def test_step_that_failed_leaves_the_gradient_of_an_implicit_solve_finite():
    def forbidden(t, h):  # no exact state is below 0, long steps are
        return -20 * jnp.sqrt(h) * jnp.sqrt(h)

    integrator = made("kvaerno3", first_step=1.0)
    fields, grid = LayerFields.from_function(forbidden), DepthGrid(jnp.ones(1))
    slope = jax.jit(jax.grad(lambda h: integrator.integrate(fields, grid, h).h1[0, 0]))(
        jnp.ones((1, 1))
    )
    assert np.all(np.isfinite(slope))


@pytest.mark.parametrize(("solver", "adjoint"), [*IMPLICIT_AND_NOT, ("tsit5", "backsolve")])
def test_values_that_a_field_closes_over_get_their_gradient(solver, adjoint):
    integrator = made(solver, 1e-4, 1e-5, adjoint)

    def twice(rate):
        field = lambda t, h: -rate * h  # noqa: E731
        return 2 * solved(integrator, field, [1.0], [[1.0]]).h1[0, 0]

    assert float(jax.grad(twice)(1.0)) == pytest.approx(-2 * np.exp(-1), rel=1e-3)


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_path_is_differentiated_by_state_and_by_step_sizes(adjoint):
    integrator, fields = made("tsit5", 1e-5, 1e-5, adjoint), LayerFields.from_function(decay)

    @jax.jit
    @jax.jacrev
    def inside(taus, h0):
        path = integrator.integrate(fields, DepthGrid(taus), h0, save_path=True).path
        assert path is not None
        return path[1:, 0, 0]

    by_taus = inside(jnp.asarray([0.3, 0.7]), jnp.ones((1, 1)))
    first, last = -np.exp(-0.3), -np.exp(-1.0)
    np.testing.assert_allclose(by_taus, [[first, 0], [last, last]], atol=1e-4)


@pytest.mark.parametrize(
    ("solver", "adjoint"), [("kvaerno3", "checkpointed"), ("bosh3", "backsolve")]
)
def test_second_derivatives_name_the_adjoint_that_has_them(solver, adjoint):
    def curvature(adjoint):
        fields, grid = LayerFields.from_function(lambda t, h: h * h), DepthGrid(jnp.ones(1) / 2)
        integrator = made(solver, 1e-4, 1e-4, adjoint, max_steps=32)
        end = lambda h: integrator.integrate(fields, grid, jnp.full((1, 1), h)).h1[0, 0]  # noqa: E731
        return jax.jit(jax.grad(jax.grad(end)))(1.0)

    with pytest.raises(DerivativeError, match=r"use adjoint\.kind=direct"):
        curvature(adjoint)
    if adjoint == "checkpointed":  # h / (1 - h/2) has the second derivative 1 / (1 - h/2)^3
        assert float(curvature("direct")) == pytest.approx(8, rel=1e-2)


@pytest.mark.parametrize(("solver", "adjoint"), [*IMPLICIT_AND_NOT, ("tsit5", "backsolve")])
def test_complex_rotation_ends_at_minus_one_with_both_parts_of_its_gradient(solver, adjoint):
    integrator = made(solver, 1e-5, 1e-6, adjoint)
    fields, grid = LayerFields.from_function(lambda t, h: 1j * h), DepthGrid(jnp.asarray([jnp.pi]))

    @jax.jit
    def both(real, imaginary):
        def end(real, imaginary):
            h0 = jax.lax.complex(real, imaginary).reshape(1, 1)
            h1 = integrator.integrate(fields, grid, h0).h1[0, 0]
            return jnp.real(h1) + 2 * jnp.imag(h1)

        return jax.value_and_grad(end, (0, 1))(real, imaginary)

    value, slopes = both(1.0, 0.5)
    np.testing.assert_allclose(value, -2.0, rtol=1e-4)
    np.testing.assert_allclose(slopes, [-1.0, -2.0], rtol=1e-4)


def test_complex_weights_are_refused_under_backsolve_and_right_under_other_adjoints():
    fields = LayerFields(lambda w, t, h: w * h, jnp.full(1, 1j, jnp.complex64), 1)
    grid, h0 = DepthGrid(jnp.asarray([jnp.pi])), jnp.ones((1, 1), jnp.complex64)
    with pytest.raises(StateTypeError, match=r"use adjoint\.kind=checkpointed"):
        made("tsit5", 1e-5, 1e-6, "backsolve").integrate(fields, grid, h0)
    found = made("tsit5", 1e-5, 1e-6, "checkpointed").integrate(fields, grid, h0)
    np.testing.assert_allclose(found.h1, -1, rtol=1e-4)


@pytest.mark.parametrize("solver", ["tsit5", "dopri8", "kvaerno3"])
def test_first_step_is_chosen_where_its_euler_step_leaves_the_field(solver):
    h0 = np.asarray([[1.0], [1e-6]], np.float32)
    found = solved(made(solver), lambda t, h: -jnp.sqrt(h), [0.0019], h0)
    assert bool(found.stats.success)
    np.testing.assert_allclose(found.h1, (np.sqrt(h0) - 0.0019 / 2) ** 2, rtol=1e-4, atol=1e-8)


def test_half_precision_solves_what_it_resolves_and_says_what_it_does_not():
    found = solved(made(), decay, [1.0], np.full((1, 1), 1000, np.float16))
    assert bool(found.stats.success)
    np.testing.assert_allclose(np.float32(found.h1), 1000 * np.exp(-1), rtol=2e-3)
    for solver in ("bosh3", "kvaerno3"):
        integrator = made(solver, 1e-6, 1e-6)
        narrow = solved(integrator, decay, [1.0], jnp.ones((1, 1), jnp.bfloat16))
        assert int(narrow.stats.failure) == Failure.PRECISION


def pulse(t, h):
    return jnp.where((t >= 0.5) & (t < 0.51), 100.0, 0.0) * jnp.ones_like(h)


@pytest.mark.parametrize("solver", ["tsit5", "kvaerno3"])
def test_pulse_between_steps_is_met_by_break_points_and_by_short_steps(solver):
    h0 = jnp.zeros((1, 1))
    missed = solved(made(solver), pulse, [1.0], h0)
    assert bool(missed.stats.success)
    assert float(missed.h1[0, 0]) == 0  # the trap that the guide tells of
    met = solved(made(solver, break_points=[0.5, 0.51]), pulse, [1.0], h0)
    np.testing.assert_allclose(met.h1, 1.0, rtol=1e-4)
    assert int(met.stats.accepted) < 20
    short = solved(made(solver, max_step=0.005, max_steps=1024), pulse, [1.0], h0)
    np.testing.assert_allclose(short.h1, 1.0, rtol=1e-2)
    assert int(short.stats.accepted) >= 200


def test_break_points_stay_where_they_are_when_step_sizes_change():
    integrator = made(break_points=[0.5, 0.51])

    def end(height, taus):
        fields = LayerFields(lambda height, t, h: height * pulse(t, h), height[None], 1)
        return integrator.integrate(fields, DepthGrid(taus), jnp.zeros((1, 1))).h1[0, 0]

    slopes = jax.jit(jax.grad(end, (0, 1)))(jnp.asarray(1.0), jnp.ones(1))
    np.testing.assert_allclose([slopes[0], slopes[1][0]], [1, 0], atol=1e-4)


@pytest.mark.parametrize("adjoint", ["checkpointed", "backsolve"])
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
