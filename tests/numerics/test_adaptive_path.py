"""The path of an adaptive solve: states at all grid points, of one solve per stretch of weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numerics.cases import cases
from numerics.methods import adaptive_diffrax
from numerics.problems import LINEAR, TIME_DEPENDENT, together

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import AdaptiveConfig

PROBLEM = together((LINEAR, TIME_DEPENDENT))
TAUS = np.array([0.3, 0.1, 0.45, 0.15])


def path_of(taus, num_layers=1, solver="dopri5", tolerance=1e-8, save_path=True, **options):
    fields = LayerFields(
        lambda scale, t, h: scale * PROBLEM.field(t, h), jnp.ones(num_layers), num_layers
    )
    if solver.startswith("own_"):
        config = AdaptiveConfig(kind=solver[4:], rtol=tolerance, atol=tolerance, max_steps=256)
    else:
        config = adaptive_diffrax(solver, tolerance, **options)
    integrator = config.build()
    grid = DepthGrid(jnp.asarray(taus), num_layers)
    return integrator.integrate(fields, grid, jnp.asarray(PROBLEM.h0), save_path=save_path)


@functools.cache
def compiled(solver, num_layers):
    return jax.jit(lambda taus: path_of(taus, num_layers, solver))


SOLVERS = ["dopri5", "own_dopri5", "own_bosh3"]
SIZES = [(solver, num_layers) for solver in SOLVERS for num_layers in (1, 2, 4)]
ALWAYS = [
    ("dopri5", 1),
    ("dopri5", 2),
    ("own_dopri5", 1),
    ("own_dopri5", 2),
    ("own_bosh3", 1),
]


@pytest.mark.parametrize(("solver", "num_layers"), cases(SIZES, ALWAYS))
@pytest.mark.parametrize("sign", [1, -1])
def test_path_is_the_exact_flow_at_every_grid_point(solver, num_layers, sign):
    result = compiled(solver, num_layers)(sign * TAUS)
    times = np.r_[0, np.cumsum(sign * TAUS)]
    exact = np.stack([PROBLEM.flow(time) for time in times])
    np.testing.assert_allclose(result.path, exact, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(result.path)[0], PROBLEM.h0)
    np.testing.assert_array_equal(np.asarray(result.path)[-1], result.h1)
    assert bool(result.stats.success)


def test_path_costs_no_evaluation_and_leaves_the_end_alone():
    with_path = compiled("dopri5", 1)(TAUS)
    alone = jax.jit(lambda taus: path_of(taus, save_path=False))(TAUS)
    assert alone.path is None
    assert int(with_path.stats.nfe) == int(alone.stats.nfe)
    np.testing.assert_allclose(with_path.h1, alone.h1, rtol=1e-13)


@pytest.mark.parametrize(
    "taus", [[0.5, -0.2, 0.4, 0.1], [0.5, -0.5, 0.0, 0.0], [-0.1, -0.2, 0.9, 0.2]]
)
@pytest.mark.parametrize("solver", SOLVERS)
def test_path_over_step_sizes_of_mixed_sign_is_reported_as_failed(taus, solver):
    assert not bool(compiled(solver, 1)(np.array(taus)).stats.success)


@pytest.mark.parametrize("solver", SOLVERS)
def test_path_over_steps_of_length_zero_stays(solver):
    result = compiled(solver, 1)(np.zeros(4))
    np.testing.assert_array_equal(result.path, np.stack([PROBLEM.h0] * 5))
    assert bool(result.stats.success)


@pytest.mark.parametrize(
    ("solver", "num_layers"),
    cases(SIZES[:2] + SIZES[3:5], [("dopri5", 2), ("own_dopri5", 1)]),
)
def test_gradient_of_path_with_respect_to_step_sizes_matches_finite_differences(solver, num_layers):
    weights = np.random.default_rng(0).normal(size=(5, *PROBLEM.h0.shape))

    @jax.jit
    @jax.value_and_grad
    def loss(taus):
        return jnp.sum(weights * path_of(taus, num_layers, solver, 1e-11, max_steps=512).path)

    _, found = loss(TAUS)
    step = 1e-5
    values = [[float(loss(TAUS + s * unit)[0]) for s in (step, -step)] for unit in np.eye(4)]
    expected = [(ahead - behind) / (2 * step) for ahead, behind in values]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
