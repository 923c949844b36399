"""Derivatives of solves by diffrax, as users run them, against those of exact solutions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_diffrax import decay, made, pulse
from user_settings import settings_of_a_user  # noqa: F401

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.errors import DerivativeError, StateTypeError
from odenet.integrators import Failure

product = pytest.mark.product
PAIRS = [
    ("kvaerno3", "checkpointed"),
    ("tsit5", "direct"),
    ("tsit5", "backsolve"),
    pytest.param("kvaerno3", "backsolve", marks=product),
]
OF_LOW_ORDER = [
    pytest.param("implicit_euler", "direct", marks=product),
    pytest.param("heun", "backsolve", marks=product),
]
each_pair = pytest.mark.parametrize(("solver", "adjoint"), PAIRS)


def test_implicit_solver_in_single_precision_reaches_t1_with_its_gradient():
    integrator, grid = made("kvaerno3", 1e-4, 1e-9), DepthGrid(jnp.asarray([7.0]), 1)

    @jax.jit
    def both(scale, sign):
        def end(scale):
            fields = LayerFields.from_function(lambda t, h: sign * h)
            found = integrator.integrate(fields, grid, scale * jnp.ones((1, 1)))
            return found.h1[0, 0], found.stats

        return jax.value_and_grad(end, has_aux=True)(scale)

    for sign, steps in ((1.0, 71), (-1.0, 70)):  # of growth and of decay
        (value, stats), slope = both(1.0, sign)
        assert bool(stats.success)
        assert int(stats.accepted + stats.rejected) <= steps + 3
        np.testing.assert_allclose([value, slope], np.exp([7.0 * sign] * 2), rtol=5e-4)


def test_step_that_failed_leaves_the_gradient_of_an_implicit_solve_finite():
    def forbidden(t, h):  # no exact state is below 0, long steps are
        return -20 * jnp.sqrt(h) * jnp.sqrt(h)

    integrator = made("kvaerno3", first_step=1.0)
    fields, grid = LayerFields.from_function(forbidden), DepthGrid(jnp.ones(1))
    slope = jax.jit(jax.grad(lambda h: integrator.integrate(fields, grid, h).h1[0, 0]))(
        jnp.ones((1, 1))
    )
    assert np.all(np.isfinite(slope))


@functools.cache
def rotation(solver, adjoint):
    """The compiled `(real, imaginary, rate, other) -> (value, statistics), slopes`.

    It solves `h' = i rate h` for half a turn from two rows, with a rate that the field closes over;
    the value is one of the first row, the slopes are those by the first three arguments.
    """
    integrator, grid = made(solver, 1e-5, 1e-6, adjoint), DepthGrid(jnp.asarray([jnp.pi]))

    def end(real, imaginary, rate, other):
        fields = LayerFields.from_function(lambda t, h: 1j * rate * h)
        h0 = jnp.stack([jax.lax.complex(real, imaginary), other + 0j])
        found = integrator.integrate(fields, grid, h0[:, None])
        h1 = found.h1[0, 0]
        return jnp.real(h1) + 2 * jnp.imag(h1), found.stats

    compiled = jax.jit(jax.value_and_grad(end, (0, 1, 2), has_aux=True))
    return lambda *numbers: jax.block_until_ready(compiled(*numbers))


@each_pair
def test_complex_rotation_ends_at_minus_one_with_both_parts_of_its_gradient(solver, adjoint):
    (value, stats), slopes = rotation(solver, adjoint)(1.0, 0.5, 1.0, 1.0)
    assert bool(stats.success)
    np.testing.assert_allclose(value, -2.0, rtol=1e-4)
    np.testing.assert_allclose(slopes[:2], [-1.0, -2.0], rtol=1e-4)


@each_pair
def test_values_that_a_field_closes_over_get_their_gradient(solver, adjoint):
    _, slopes = rotation(solver, adjoint)(1.0, 0.5, 1.0, 1.0)
    h1 = -(1 + 0.5j)
    by_rate = 1j * np.pi * h1
    assert float(slopes[2]) == pytest.approx(by_rate.real + 2 * by_rate.imag, rel=1e-3)


@pytest.mark.parametrize(("solver", "adjoint"), PAIRS + OF_LOW_ORDER)
def test_row_that_is_not_a_number_is_told_at_once_and_raises_nowhere(solver, adjoint):
    (_, stats), _ = rotation(solver, adjoint)(1.0, 0.5, 1.0, np.nan)
    assert int(stats.failure) == Failure.NOT_FINITE
    assert int(stats.accepted + stats.rejected) == 0


@pytest.mark.parametrize(
    "adjoint", ["backsolve", *(pytest.param(a, marks=product) for a in ("checkpointed", "direct"))]
)
def test_path_is_differentiated_by_state_and_by_step_sizes(adjoint):
    integrator, fields = made("tsit5", 1e-5, 1e-5, adjoint), LayerFields.from_function(decay)
    h0 = 2.0

    @jax.jit
    @functools.partial(jax.grad, argnums=(1, 2))
    def inside(weights, taus, h0):
        path = integrator.integrate(fields, DepthGrid(taus), h0, save_path=True).path
        assert path is not None
        return jnp.dot(weights, path[1:, 0, 0])

    first, last = h0 * np.exp([-0.3, -1.0])
    for weights in ([1.0, 0.0], [0.0, 1.0]):
        by_taus, by_h0 = inside(jnp.asarray(weights), jnp.asarray([0.3, 0.7]), jnp.full((1, 1), h0))
        expected = [-weights[0] * first - weights[1] * last, -weights[1] * last]
        np.testing.assert_allclose(by_taus, expected, atol=1e-4)
        np.testing.assert_allclose(by_h0, [[np.dot(weights, [first, last]) / h0]], atol=1e-4)


@pytest.mark.parametrize(
    ("solver", "adjoint"),
    [
        pytest.param("kvaerno3", "checkpointed", marks=product),
        ("bosh3", "checkpointed"),
        ("bosh3", "backsolve"),
    ],
)
def test_second_derivatives_name_the_adjoint_that_has_them(solver, adjoint):
    def curvature(adjoint):
        fields, grid = LayerFields.from_function(lambda t, h: h * h), DepthGrid(jnp.ones(1) / 2)
        integrator = made(solver, 2e-4, 2e-4, adjoint, max_steps=16)
        end = lambda h: integrator.integrate(fields, grid, jnp.full((1, 1), h)).h1[0, 0]  # noqa: E731
        return jax.jit(jax.grad(jax.grad(end)))(1.0)

    with pytest.raises(DerivativeError, match=r"use adjoint\.kind=direct"):
        curvature(adjoint)
    if adjoint == "checkpointed":  # h / (1 - h/2) has the second derivative 1 / (1 - h/2)^3
        assert float(curvature("direct")) == pytest.approx(8, rel=1e-2)


def test_complex_weights_are_refused_under_backsolve_and_right_under_other_adjoints():
    fields = LayerFields(lambda w, t, h: w * h, jnp.full(1, 1j, jnp.complex64), 1)
    grid, h0 = DepthGrid(jnp.asarray([jnp.pi])), jnp.ones((1, 1), jnp.complex64)

    def turned(adjoint):
        integrator = made("tsit5", 1e-5, 1e-6, adjoint)
        return jax.jit(lambda h0: integrator.integrate(fields, grid, h0).h1)(h0)

    with pytest.raises(StateTypeError, match=r"use adjoint\.kind=checkpointed"):
        turned("backsolve")
    np.testing.assert_allclose(turned("checkpointed"), -1, rtol=1e-4)


def test_break_points_stay_where_they_are_when_step_sizes_change():
    integrator = made(break_points=[0.5, 0.51])

    def end(height, taus):
        fields = LayerFields(lambda height, t, h: height * pulse(t, h), height[None], 1)
        return integrator.integrate(fields, DepthGrid(taus), jnp.zeros((1, 1))).h1[0, 0]

    slopes = jax.jit(jax.grad(end, (0, 1)))(jnp.asarray(1.0), jnp.ones(1))
    np.testing.assert_allclose([slopes[0], slopes[1][0]], [1, 0], atol=1e-4)
