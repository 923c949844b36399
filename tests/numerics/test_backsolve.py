"""Gradients by the adjoint equation: how they converge, and what a failure backwards leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numerics.cases import cases
from numerics.methods import adaptive_diffrax
from pydantic import ValidationError

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import DiffraxConfig
from odenet.integrators.continuous.adjoints import BacksolveAdjointConfig
from odenet.integrators.shared_control import batch_rms
from odenet.ops.batch_axis import batch_axis

RATE = jnp.asarray([0.7, -1.3])
H0 = np.array([[1.0, -0.5], [0.4, 2.0]])
HORIZON = 1.5


def gradient_of(config):
    """The compiled gradient by the rates of a linear field."""
    integrator = config.build()

    @jax.jit
    @jax.grad
    def of(rate):
        fields = LayerFields(lambda rate, t, h: h * rate[None, :], rate[None], 1)
        grid = DepthGrid(jnp.asarray([HORIZON]), 1)
        return jnp.sum(jnp.square(integrator.integrate(fields, grid, jnp.asarray(H0)).h1))

    return of


def solved(config, rate):
    """The statistics of the solve forwards."""
    fields = LayerFields.from_function(lambda t, h: h * rate[None, :])
    grid, integrator = DepthGrid(jnp.asarray([HORIZON]), 1), config.build()
    return jax.jit(lambda h0: integrator.integrate(fields, grid, h0).stats)(jnp.asarray(H0))


def exact():
    """Of `sum((h0 exp(T rate))^2)`."""
    return np.sum(2 * HORIZON * np.square(H0 * np.exp(HORIZON * np.asarray(RATE))), axis=0)


@pytest.mark.parametrize("seminorm", cases([False, True], [False]))  # True: test_gradients
def test_gradient_converges_to_the_exact_one_as_the_tolerance_tightens(seminorm):
    adjoint = {"kind": "backsolve", "seminorm": seminorm}
    gradients = [
        gradient_of(adaptive_diffrax("tsit5", rtol, adjoint=adjoint))(RATE) for rtol in (1e-3, 1e-9)
    ]
    errors = [np.max(np.abs(gradient / exact() - 1)) for gradient in gradients]
    assert errors[0] > 100 * errors[1]
    assert errors[1] < 1e-7


def test_failed_solve_backwards_gives_no_number_instead_of_a_wrong_gradient():
    config = adaptive_diffrax("tsit5", 1e-3, adjoint={"kind": "backsolve"}, max_steps=24)
    by_rate = gradient_of(config)
    assert np.all(np.isfinite(by_rate(RATE)))
    # Forwards the state decays at once; backwards it explodes, and steps run out.
    falling = jnp.asarray([-35.0, -35.0])
    assert bool(solved(config, falling).success)
    assert np.all(np.isnan(by_rate(falling)))


def test_norm_backwards_covers_what_it_says():
    state, adjoint, counter = jnp.full(2, 3.0), jnp.full(2, 4.0), jnp.asarray(99.0)
    tree = (state, adjoint, (jnp.ones(2), jnp.ones(1), jnp.ones(1), counter), None)
    full, semi = (BacksolveAdjointConfig(seminorm=seminorm).norm for seminorm in (False, True))
    assert float(full(tree)) == pytest.approx(np.sqrt((18 + 32 + 4) / 8), rel=1e-15)
    assert float(semi(tree)) == pytest.approx(np.sqrt((18 + 32) / 4), rel=1e-15)


def test_norm_of_a_tree_covers_all_shards():
    trees = (jnp.arange(8.0).reshape(4, 2), jnp.arange(4.0).reshape(4, 1) - 1)

    def shard(tree):
        with batch_axis("devices"):
            return batch_rms(tree)

    whole = np.sqrt(np.mean(np.concatenate([np.ravel(tree) for tree in trees]) ** 2))
    found = jax.vmap(shard, axis_name="devices")(trees)
    np.testing.assert_allclose(found, np.full(4, whole), rtol=1e-14)


def test_controller_backwards_has_the_coefficients_of_the_one_forwards():
    config = DiffraxConfig.model_validate(
        {"controller": {"pcoeff": 0.3, "icoeff": 0.4}, "adjoint": {"kind": "backsolve"}}
    )
    backwards = config.build().adjoint.kwargs["stepsize_controller"]
    assert (backwards.pcoeff, backwards.icoeff) == (0.3, 0.4)


def test_seminorm_without_control_is_refused():
    with pytest.raises(ValidationError, match="chooses none"):
        DiffraxConfig.model_validate(
            {
                "controller": {"kind": "constant"},
                "adjoint": {"kind": "backsolve", "seminorm": True},
            }
        )
