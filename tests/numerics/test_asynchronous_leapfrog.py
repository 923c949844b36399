"""Asynchronous leapfrog against a loop in NumPy, exact flows, and its own inverse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numerics.cases import cases
from numerics.problems import GROWING, LINEAR, LOGISTIC, TIME_DEPENDENT
from numerics.test_leapfrog import layers
from numerics.test_observed_order import STEPS, grids, slopes

from odenet.depth.grid import DepthGrid
from odenet.integrators import AsynchronousLeapfrog, AsynchronousLeapfrogConfig

REMAT = ["none", "step", "sqrt", "reversible"]


def by_hand(params, taus, per_layer, h):
    """The states at the grid points, in NumPy, one line per equation."""

    def f(k, t, h):
        w, b = (np.asarray(params[name])[k // per_layer] for name in ("w", "b"))
        return np.tanh(h @ w + t * b)

    t, v, path = 0.0, f(0, 0.0, h), [h]
    for k, tau in enumerate(taus):
        u = f(k, t + tau / 2, h + tau / 2 * v)
        h, v, t = h + tau * u, 2 * u - v, t + tau
        path.append(h)
    return np.stack(path)


SHAPES = [(remat, *shape) for shape in ((1, 7), (3, 4), (1, 1)) for remat in REMAT]
ALWAYS = {case for case in SHAPES if case[0] == "reversible" or case[1:] == (3, 4)}


@pytest.mark.parametrize(("remat", "num_layers", "per_layer"), cases(SHAPES, ALWAYS))
def test_path_is_that_of_a_loop_by_hand(remat, num_layers, per_layer):
    draw = np.random.default_rng(1)
    fields, h0 = layers(num_layers), draw.normal(size=(2, 3))
    taus = draw.uniform(-0.4, 0.9, num_layers * per_layer)
    grid = DepthGrid(jnp.asarray(taus), num_layers)
    integrator = AsynchronousLeapfrogConfig(remat=remat).build()
    found, alone = jax.jit(
        lambda h0: [integrator.integrate(fields, grid, h0, save_path=s) for s in (True, False)]
    )(h0)
    expected = by_hand(fields.params, taus, per_layer, h0)
    np.testing.assert_allclose(found.path, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.h1, expected[-1], rtol=1e-12, atol=1e-12)
    assert int(found.stats.nfe) == len(taus) + 1
    assert int(found.stats.accepted) == len(taus)
    assert alone.path is None
    np.testing.assert_allclose(alone.h1, found.h1, rtol=1e-12, atol=1e-12)


def test_observed_order_is_two():
    problems = (LINEAR, LOGISTIC, TIME_DEPENDENT, GROWING)
    found = list(slopes(AsynchronousLeapfrog(), problems, grids("uniform", STEPS[2])))
    for problem, slope in found:
        assert slope == pytest.approx(2, abs=0.1), (problem, found)
