"""Leapfrog against a loop in NumPy, exact second-order flows, and its own inverse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numerics.cases import cases
from numerics.problems import SECOND_ORDER

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import LeapfrogConfig
from odenet.integrators.symplectic import Leapfrog

REMAT = ["none", "step", "sqrt", "reversible"]


def apply(params, t, h):
    return jnp.tanh(h @ params["w"] + t * params["b"])


def layers(num_layers, width=3, seed=0):
    draw = np.random.default_rng(seed)
    params = {
        "w": draw.normal(size=(num_layers, width, width)) / np.sqrt(width),
        "b": draw.normal(size=(num_layers, 1, width)),
    }
    return LayerFields(apply, jax.tree.map(jnp.asarray, params), num_layers)


def by_hand(params, taus, per_layer, h):
    """The positions at the grid points, in NumPy, one line per equation."""
    t, v, path = 0.0, np.zeros_like(h), [h]
    for k, tau in enumerate(taus):
        w, b = (np.asarray(params[name])[k // per_layer] for name in ("w", "b"))
        h = h + tau / 2 * v
        v = v + tau * np.tanh(h @ w + (t + tau / 2) * b)
        h = h + tau / 2 * v
        t = t + tau
        path.append(h)
    return np.stack(path)


SHAPES = [(remat, *shape) for shape in ((1, 7), (7, 1), (3, 4), (1, 1)) for remat in REMAT]
ALWAYS = {case for case in SHAPES if case[0] == "reversible" or case[1:] == (3, 4)}


@pytest.mark.parametrize(("remat", "num_layers", "per_layer"), cases(SHAPES, ALWAYS))
def test_path_is_that_of_a_loop_by_hand(remat, num_layers, per_layer):
    draw = np.random.default_rng(1)
    fields, h0 = layers(num_layers), draw.normal(size=(2, 3))
    taus = draw.uniform(-0.4, 0.9, num_layers * per_layer)
    assert len(taus) == 1 or taus.min() < 0
    grid = DepthGrid(jnp.asarray(taus), num_layers)
    integrator = LeapfrogConfig(remat=remat).build()
    found, alone = jax.jit(
        lambda h0: [integrator.integrate(fields, grid, h0, save_path=s) for s in (True, False)]
    )(h0)
    expected = by_hand(fields.params, taus, per_layer, h0)
    np.testing.assert_allclose(found.path, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.h1, expected[-1], rtol=1e-12, atol=1e-12)
    assert int(found.stats.nfe) == int(found.stats.accepted) == len(taus)
    assert alone.path is None
    np.testing.assert_allclose(alone.h1, found.h1, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("remat", REMAT)
def test_kick_drift_is_the_published_two_step_recursion(remat):
    fields, h0 = layers(9), np.random.default_rng(1).normal(size=(2, 3))
    tau = 0.3
    grid = DepthGrid(jnp.full(9, tau), 9)
    integrator = LeapfrogConfig(form="kick_drift", remat=remat).build()
    found = jax.jit(lambda h0: integrator.integrate(fields, grid, h0, save_path=True))(h0)
    before, here, path = h0, h0, [h0]
    for k in range(9):
        w, b = (np.asarray(fields.params[name])[k] for name in ("w", "b"))
        before, here = here, 2 * here - before + tau**2 * np.tanh(here @ w + k * tau * b)
        path.append(here)
    np.testing.assert_allclose(found.path, np.stack(path), rtol=1e-12, atol=1e-12)
    assert int(found.stats.nfe) == 9


def test_flows_at_rest_solve_their_second_order_problems():
    for problem in SECOND_ORDER:
        np.testing.assert_allclose(problem.flow(0.0), problem.h0, atol=1e-15)
        step = 1e-4
        np.testing.assert_allclose(problem.flow(step) - problem.flow(-step), 0, atol=1e-9)
        for t in (0.0, 0.4, 1.7):
            ahead, here, behind = (problem.flow(t + s) for s in (step, 0.0, -step))
            second = (ahead - 2 * here + behind) / step**2
            field = problem.field(jnp.asarray(t), jnp.asarray(here))
            np.testing.assert_allclose(second, field, rtol=1e-5, atol=1e-6)


def test_field_of_time_alone_at_the_middle_of_the_step_is_exact_for_a_constant():
    fields = LayerFields.from_function(lambda t, h: jnp.full_like(h, 0.75))
    taus, h0 = jnp.asarray([0.3, -0.2, 1.1]), jnp.asarray([[0.3, -1.0]])
    h1 = Leapfrog().integrate(fields, DepthGrid(taus), h0).h1
    np.testing.assert_allclose(h1, h0 + 0.75 * 1.2**2 / 2, rtol=1e-14)


def step(field, pair, t0, tau):
    for stage in Leapfrog().stages:
        pair = stage.move(pair, field(*stage.point(pair, t0, tau)), tau)
    return pair


def test_step_backwards_in_time_is_the_inverse():
    field = jax.tree_util.Partial(lambda t, h: jnp.sin(3 * h + t))
    start = (jnp.asarray([[0.3, -1.0]]), jnp.asarray([[0.2, 0.5]]))
    there = step(field, start, jnp.asarray(0.4), jnp.asarray(0.7))
    back = step(field, there, jnp.asarray(1.1), jnp.asarray(-0.7))
    for ours, expected in zip(back, start, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-14)
