"""The error of states that a backward pass reconstructs, and derivatives that there are none of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from pydantic import TypeAdapter
from user_settings import as_a_user

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.errors import DerivativeError
from odenet.integrators import IntegratorConfig
from odenet.integrators.reconstruction import LARGEST_ERROR, reconstruction_error
from odenet.models import DepthBlockConfig

CONFIG = TypeAdapter(IntegratorConfig)


def layers(num_layers, dtype):
    draw = np.random.default_rng(0).normal(size=(num_layers, 8, 8)) / np.sqrt(8)
    return LayerFields(lambda w, t, h: jnp.tanh(h @ w), jnp.asarray(draw, dtype), num_layers)


def both_errors(options, taus, dtype=jnp.float32):
    """Error of the reconstruction, and of the gradient against that of stored states."""
    fields, grid = layers(len(taus), dtype), DepthGrid(jnp.asarray(taus, dtype), len(taus))
    h0 = jnp.asarray(np.random.default_rng(1).normal(size=(4, 8)), dtype)
    ours, stored = (
        CONFIG.validate_python(options | {"remat": remat}).build()
        for remat in ("reversible", "none")
    )

    @jax.jit
    def measured(params, h0):
        def loss(params, integrator):
            these = LayerFields(fields.apply, params, fields.num_layers)
            return jnp.sum(jnp.sin(integrator.integrate(these, grid, h0).h1))

        return [
            (jax.grad(loss)(params, each), reconstruction_error(each, fields, grid, h0))
            for each in (ours, stored)
        ]

    (found, error), (expected, without) = jax.tree.map(np.asarray, measured(fields.params, h0))
    assert without == 0
    return float(error), np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("options", "taus"),
    [
        ({"kind": "momentum", "gamma": 0.9}, np.ones(160)),
        ({"kind": "momentum", "gamma": 0.1}, np.ones(9)),
        ({"kind": "reversible_rk", "coupling": 0.9}, np.full(160, 0.05)),
    ],
    ids=["long", "forgetful", "loose"],
)
def test_gradients_that_are_wrong_are_seen_by_their_reconstruction(options, taus):
    with as_a_user():
        error, of_gradient = both_errors(options, taus)
    assert of_gradient > 0.02
    assert error > LARGEST_ERROR
    error, of_gradient = both_errors(options, taus[:4], jnp.float64)
    assert error < 1e-9
    assert of_gradient < 1e-9


@pytest.mark.parametrize(
    "kind", ["leapfrog", "momentum", "two_step_midpoint", "asynchronous_leapfrog", "reversible_rk"]
)
def test_reconstructions_of_short_blocks_are_exact_to_rounding(kind):
    with as_a_user():
        error, of_gradient = both_errors({"kind": kind}, np.full(8, 0.2))
    assert 0 < error < 1e-4
    assert of_gradient < 1e-3


@pytest.mark.parametrize(
    ("options", "instead"),
    [
        ({"kind": "leapfrog"}, "remat=none, step or sqrt"),
        ({"kind": "momentum"}, "remat=none, step or sqrt"),
        ({"kind": "dopri5"}, "kind=diffrax with adjoint.kind=direct"),
        ({"kind": "diffrax"}, "adjoint.kind=direct"),
        ({"kind": "diffrax", "adjoint": {"kind": "backsolve"}}, "adjoint.kind=direct"),
    ],
    ids=str,
)
def test_forward_mode_that_there_is_none_of_says_what_has_one(options, instead):
    fields, grid = LayerFields.from_function(lambda t, h: -h), DepthGrid(jnp.ones(1))
    integrator, h0 = CONFIG.validate_python(options).build(), jnp.ones((1, 2))

    def end(h0):
        return integrator.integrate(fields, grid, h0).h1

    for call in (end, jax.jit(end)):
        with pytest.raises(DerivativeError, match=instead):
            jax.jvp(call, (h0,), (h0,))
    with as_a_user():
        block = DepthBlockConfig(num_steps=2, integrator=options).build((2,), rngs=nnx.Rngs(0))
        with pytest.raises(DerivativeError, match=instead):
            jax.jacfwd(lambda h0: block(h0).h1)(jnp.ones((1, 2), jnp.float32))


def test_forward_mode_of_a_gradient_passes_whatever_each_differentiates_by():
    grid, h0 = DepthGrid(jnp.full(3, 0.3)), jnp.full((2, 8), 0.4)
    params = layers(1, jnp.float64).params

    def mixed(integrator, h0):
        def loss(h0, params):
            fields = LayerFields(lambda w, t, h: jnp.tanh(h @ w), params, 1)
            return jnp.sum(jnp.sin(integrator.integrate(fields, grid, h0).h1))

        return jax.jit(jax.jacfwd(jax.grad(loss), argnums=1))(h0, params)

    made = ({"kind": "leapfrog"}, {"kind": "leapfrog", "remat": "none"})
    found, expected = (mixed(CONFIG.validate_python(options).build(), h0) for options in made)
    assert np.max(np.abs(expected)) > 1e-2
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
