"""Our adaptive methods against diffrax's, which take the same steps by the same rules."""

import itertools

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import AS_USERS_DO
from flax import nnx
from numerics.methods import adaptive_diffrax
from numerics.precision import randomised

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import AdaptiveConfig
from odenet.integrators.embedded import EMBEDDED
from odenet.models import DepthBlockConfig

DIFFRAX = {"dopri5": diffrax.Dopri5, "bosh3": diffrax.Bosh3}
FIRST_STEP = 0.3  # too long for the field below, so that steps are rejected


def solved(integrator, weights="shared_with_time", scale=1.0, compiled=AS_USERS_DO):
    """Value, statistics and gradients of a solve in double precision."""
    block = randomised(
        DepthBlockConfig(
            num_steps=2,
            field={"kind": "mlp", "form": "between", "hidden": (5,)},
            weights={"kind": weights},
            step_sizes={"kind": "learned", "horizon": 3.0},
            integrator=integrator,
        ).build((3,), rngs=nnx.Rngs(0)),
        jax.random.key(5),
        scale,
    )
    block.step_sizes.raw[...] = jnp.asarray([1.2, 1.8])
    graphdef, params = nnx.split(block)
    h0 = jax.random.normal(jax.random.key(6), (4, 3))

    def loss(params, h0):
        integration = nnx.merge(graphdef, params)(h0)
        return jnp.sum(jnp.sin(integration.h1)), integration

    gradient = jax.value_and_grad(loss, (0, 1), has_aux=True)
    return jax.jit(gradient, compiler_options=compiled)(params, h0)


@pytest.mark.parametrize("name", EMBEDDED)
def test_tableau_is_that_of_diffrax(name):
    ours, theirs = EMBEDDED[name], DIFFRAX[name].tableau
    for row, expected in zip(ours.tableau.a[1:], theirs.a_lower, strict=True):
        np.testing.assert_allclose(row, expected, rtol=1e-14, atol=1e-16)
    np.testing.assert_allclose(ours.tableau.c[1:], theirs.c, rtol=1e-14)
    np.testing.assert_allclose(ours.tableau.b, theirs.b_sol, rtol=1e-14, atol=1e-16)
    np.testing.assert_allclose(ours.error, theirs.b_error, rtol=1e-12, atol=1e-16)
    assert abs(sum(ours.error)) < 1e-15


IN_TURN = [("dopri5", 1e-7, "per_layer")]
CASES = itertools.product(EMBEDDED, (1e-3, 1e-7), ("shared_with_time", "per_layer"))


@pytest.mark.parametrize(
    ("name", "tolerance", "weights"),
    [pytest.param(*p, marks=() if p in IN_TURN else pytest.mark.product) for p in CASES],
)
def test_steps_values_and_gradients_equal_those_of_diffrax(name, tolerance, weights):
    ours = AdaptiveConfig(
        kind=name, rtol=tolerance, atol=tolerance, first_step=FIRST_STEP, max_steps=1024
    )
    theirs = adaptive_diffrax(name, tolerance, max_steps=1024)
    controller = theirs.controller.model_copy(update={"first_step": FIRST_STEP})
    theirs = theirs.model_copy(update={"controller": controller})
    ((loss, found), gradient), ((expected, known), known_gradient) = (
        solved(ours, weights, 2.0),
        solved(theirs, weights, 2.0),
    )
    for count in ("nfe", "accepted", "rejected"):
        assert int(getattr(found.stats, count)) == int(getattr(known.stats, count))
    assert int(found.stats.accepted) > 2
    if tolerance == 1e-7:
        assert int(found.stats.rejected) > 0
    # Round-off in the estimate of a small error changes the size of a step, within the tolerance.
    equal = 1e-7
    np.testing.assert_allclose(loss, expected, rtol=equal, atol=equal)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(known_gradient), strict=True):
        np.testing.assert_allclose(a, b, rtol=50 * equal, atol=50 * equal)


def test_a_solve_that_runs_out_of_steps_says_so():
    (_, found), gradient = solved(AdaptiveConfig(rtol=1e-9, atol=1e-9, max_steps=5), compiled=None)
    assert not bool(found.stats.success)
    assert int(found.stats.accepted + found.stats.rejected) == 5
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(gradient))


def test_a_field_that_gives_no_number_fails_and_ends():
    def field(t, h):
        return jnp.where(h > 1, jnp.nan, 1.0) * jnp.ones_like(h)

    integrator = AdaptiveConfig(max_steps=20).build()
    fields, grid = LayerFields.from_function(field), DepthGrid(jnp.full(1, 3.0))
    found = jax.jit(lambda h0: integrator.integrate(fields, grid, h0))(jnp.zeros((1, 1)))
    assert not bool(found.stats.success)
    assert int(found.stats.accepted + found.stats.rejected) == 20
    assert bool(jnp.isfinite(found.h1).all())


def test_captured_values_of_an_outer_differentiation_get_their_gradient():
    integrator = AdaptiveConfig(rtol=1e-10, atol=1e-10, max_steps=256).build()

    def end(rate):
        fields = LayerFields.from_function(lambda t, h: rate * h)
        return integrator.integrate(fields, DepthGrid(jnp.ones(1)), jnp.ones((1, 1))).h1[0, 0]

    @jax.jit
    def derivatives(rate):
        return *jax.value_and_grad(end)(rate), jax.jacfwd(jax.grad(end))(rate)

    value, slope, curvature = derivatives(0.7)
    np.testing.assert_allclose([value, slope], np.exp([0.7, 0.7]), rtol=1e-8)
    np.testing.assert_allclose(curvature, np.exp(0.7), rtol=1e-6)
