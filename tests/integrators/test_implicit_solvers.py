"""Implicit solvers of diffrax: stiff fields, the tolerance of their equations, and its options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numerics.cases import cases
from numerics.methods import IMPLICIT, IMPLICIT_ORDERS, SOLVED, adaptive_diffrax, fixed_diffrax
from numerics.problems import STIFF
from pydantic import ValidationError

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.errors import ConfigError
from odenet.integrators import DiffraxConfig
from odenet.integrators.continuous.solvers import LARGEST_EQUATION

STIFFEST = 2000.0


def stiff(t, h):
    return -STIFFEST * (h - jnp.cos(t))


def ends(config, field, h0):
    fields = LayerFields.from_function(field)
    grid = DepthGrid(jnp.asarray([2.0]), 1)
    return jax.jit(lambda h0: config.build().integrate(fields, grid, h0))(jnp.asarray(h0))


def test_stiff_field_takes_an_implicit_solver_fewer_steps_than_its_stability_would():
    solved = ends(adaptive_diffrax("kvaerno5", 1e-5, max_steps=256), stiff, [[0.0]])
    explicit = ends(adaptive_diffrax("dopri5", 1e-5, max_steps=256), stiff, [[0.0]])
    assert bool(solved.stats.success)
    assert int(solved.stats.accepted) < 60
    assert not bool(explicit.stats.success)
    # h = (L^2 cos t + L sin t) / (1 + L^2) once the first layer is gone.
    exact = (STIFFEST**2 * np.cos(2.0) + STIFFEST * np.sin(2.0)) / (1 + STIFFEST**2)
    np.testing.assert_allclose(solved.h1, [[exact]], atol=1e-4)


@pytest.mark.parametrize("solver", cases(IMPLICIT_ORDERS, ["implicit_euler", "kvaerno5"]))
def test_adaptive_implicit_steps_reach_the_exact_flow(solver):
    tolerance = {"implicit_euler": 1e-4}.get(solver, 1e-6)
    solved = ends(adaptive_diffrax(solver, tolerance, max_steps=1024), STIFF.field, STIFF.h0)
    assert bool(solved.stats.success)
    np.testing.assert_allclose(solved.h1, STIFF.flow(2.0), atol=30 * tolerance)


def test_looser_equations_of_fixed_steps_leave_a_larger_error():
    def gap(rtol):
        config = fixed_diffrax("implicit_euler", root_finder={**SOLVED, "rtol": rtol, "atol": rtol})
        step = ends(config, lambda t, h: -jnp.sin(3 * h), [[0.4]]).h1
        return float(jnp.abs(step + 2 * jnp.sin(3 * step) - 0.4)[0, 0])

    assert gap(1e-9) < 1e-8 < gap(1.0)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "diffrax_kvaerno3" else pytest.mark.product)
        for name in IMPLICIT
    ],
)
def test_gradient_is_that_of_the_steps(name):
    integrator = IMPLICIT[name][0].build()

    @jax.jit
    @jax.value_and_grad
    def loss(weight):
        fields = LayerFields(lambda w, t, h: jnp.tanh(w * h + t), weight[None], 1)
        return jnp.sum(
            integrator.integrate(fields, DepthGrid(jnp.full(4, 0.1), 1), jnp.asarray([[0.3]])).h1
        )

    weight, step = jnp.asarray(1.3), 1e-4
    difference = (loss(weight + step)[0] - loss(weight - step)[0]) / (2 * step)
    np.testing.assert_allclose(loss(weight)[1], difference, rtol=1e-6)


def test_state_too_large_for_its_equations_is_refused_with_its_size():
    with pytest.raises(ConfigError, match=f"at most {LARGEST_EQUATION} numbers.*got 5000"):
        ends(adaptive_diffrax("kvaerno3", 1e-3), lambda t, h: -h, np.zeros((50, 100)))


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"solver": "tsit5", "root_finder": {"rtol": 1e-6}}, "would ignore root_finder"),
        ({"solver": "reversible_heun", "controller": {"kind": "constant"}}, "it would be heun"),
        ({"solver": "kencarp4"}, "solver"),
        ({"solver": "kvaerno4", "root_finder": {"max_iterations": 0}}, "greater than 0"),
    ],
)
def test_options_that_do_not_fit_the_solver_are_refused(mapping, message):
    with pytest.raises(ValidationError, match=message):
        DiffraxConfig.model_validate(mapping)
