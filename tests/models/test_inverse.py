"""A block backwards: the state that it came from, and what has none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from user_settings import settings_of_a_user as settings_of_a_user

from odenet.errors import ConfigError
from odenet.integrators import DiffraxConfig, ExplicitConfig
from odenet.models import DepthBlockConfig, Discretisation

STEPS = {"num_steps": 4, "step_sizes": {"kind": "fixed", "taus": [0.2, 0.3, 0.1, 0.4]}}
FINE = Discretisation(ExplicitConfig(kind="rk4").build(), 16)
SOLVER = DiffraxConfig(controller={"kind": "pid", "rtol": 1e-6, "atol": 1e-6})
WEIGHTS = {
    "per_layer": {"kind": "per_layer"},
    "few layers": {"kind": "per_layer", "num_layers": 2},
    "time": {"kind": "shared_with_time"},
    "hats": {"kind": "basis", "num_basis": 3},
}


def block_of(shape=(3,), **values):
    return DepthBlockConfig(**STEPS | values).build(shape, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("name", WEIGHTS)
def test_inverse_of_the_flow_is_the_state_before_it(name):
    block = block_of(weights=WEIGHTS[name])
    h0 = jax.random.normal(jax.random.key(1), (5, 3))
    forward = block(h0, FINE, save_path=True)
    back = block.inverse(forward.h1, FINE, save_path=True)
    np.testing.assert_allclose(back.h1, h0, atol=1e-5)
    np.testing.assert_allclose(back.path, forward.path[::-1], atol=1e-5)
    assert float(jnp.abs(forward.h1 - h0).max()) > 0.05


def test_adaptive_solver_goes_back_too():
    block = block_of(weights={"kind": "shared"}, integrator=SOLVER)
    h0 = jax.random.normal(jax.random.key(1), (5, 3))
    back = block.inverse(block(h0).h1)
    assert bool(back.stats.success)
    np.testing.assert_allclose(back.h1, h0, atol=1e-5)


def test_images_with_prepared_weights_go_back():
    block = block_of((4, 4, 2), field={"kind": "conv", "norm": "none"})
    h0 = jax.random.normal(jax.random.key(1), (2, 4, 4, 2))
    np.testing.assert_allclose(block.inverse(block(h0, FINE).h1, FINE).h1, h0, atol=1e-5)


def test_euler_backwards_is_first_order():
    block = block_of()
    h0 = jax.random.normal(jax.random.key(1), (5, 3))
    errors = [
        float(jnp.abs(block.inverse(block(h0, way).h1, way).h1 - h0).max())
        for way in (Discretisation(step_factor=n) for n in (16, 32))
    ]
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.15)


REFUSED = {
    "second order": ({"integrator": {"kind": "leapfrog"}}, "only h' = f"),
    "fractional": ({"integrator": {"kind": "fractional"}}, "only h' = f"),
    "momentum": ({"integrator": {"kind": "momentum"}}, "only h' = f"),
    "shortcut": ({"shortcut": {"kind": "scaled", "factor": 0.5}}, "cannot be integrated backwards"),
    "start": ({"field": {"kind": "data_controlled"}}, "depends on the state at depth-time 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_block_without_an_inverse_is_refused(name):
    values, message = REFUSED[name]
    with pytest.raises(ConfigError, match=message):
        nnx.eval_shape(lambda: block_of(**values).inverse(jnp.ones((2, 3))))
