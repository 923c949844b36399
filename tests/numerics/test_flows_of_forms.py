"""Second-order, data-controlled and depth-adaptive blocks against exact flows, by every method."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from flax import nnx
from numerics.cases import cases
from numerics.methods import adaptive_diffrax, fixed_diffrax
from numerics.precision import drawn
from pydantic import TypeAdapter

from odenet.integrators import IntegratorConfig
from odenet.models import DepthBlockConfig, Discretisation

CONFIG = TypeAdapter(IntegratorConfig)
A = np.array([[-0.6, 1.2], [-0.9, -0.4]])
B = np.array([[0.8, -0.5], [0.3, 1.1]])
K = np.array([[2.0, -0.7], [-0.7, 1.5]])
DAMPED = np.array([[-0.3, 0.2], [0.1, -0.5]])
X0 = np.array([[1.0, -0.5], [0.25, 0.75]])
ZERO, ONE = np.zeros((2, 2)), np.eye(2)
HORIZON = 1.0

FIRST_ORDER = {
    "euler": ({"kind": "euler"}, 1),
    "heun": ({"kind": "heun"}, 2),
    "rk4": ({"kind": "rk4", "remat": "sqrt"}, 4),
    "two_step_midpoint": ({"kind": "two_step_midpoint"}, 2),
    "asynchronous_leapfrog": ({"kind": "asynchronous_leapfrog"}, 2),
    "reversible_rk4": ({"kind": "reversible_rk", "method": "rk4"}, 4),
    "diffrax_bosh3": (fixed_diffrax("bosh3"), 3),
    "diffrax_implicit_euler": (fixed_diffrax("implicit_euler"), 1),
}
OTHERS = {"leapfrog": ({"kind": "leapfrog"}, 2), "momentum": ({"kind": "momentum"}, 1)}
HALVED = {
    "symplectic_euler": ({"kind": "symplectic_euler"}, 1),
    "verlet": ({"kind": "verlet"}, 2),
}
CHOOSING = {
    "dopri5": {"kind": "dopri5", "rtol": 1e-8, "atol": 1e-8},
    "diffrax": adaptive_diffrax("tsit5", 1e-8),
    "diffrax_backsolve": adaptive_diffrax("dopri8", 1e-10, adjoint={"kind": "backsolve"}),
}


def block_of(field, weights, integrator, num_steps=8):
    """A block of an inner field that is one linear map with these weights."""
    form = {"form": "inside", "activation": "identity"}
    config = DepthBlockConfig.model_validate(
        {
            "num_steps": num_steps,
            "field": field | {"inner": form},
            "weights": {"kind": "shared"},
            "step_sizes": {"kind": "fixed", "horizon": HORIZON},
            "integrator": integrator if isinstance(integrator, dict) else integrator.model_dump(),
        }
    )
    shape = (len(weights[0]) if field["kind"] == "second_order" else 2,)
    block = drawn(lambda: config.build(shape, rngs=nnx.Rngs(0)), seed=0, scale=0.0)
    affine = block.weights.stacked.inner.affine[0]
    affine.kernel[...] = jnp.asarray(weights[1].T[None])
    return block


def flow(matrix, state):
    return state @ scipy.linalg.expm(HORIZON * matrix).T


def observed(block, h0, expected, order):
    """The order seen between two grids, once errors are far above round-off."""
    step = 4 if order < 3 else 1
    errors = [
        np.abs(block(jnp.asarray(h0), Discretisation(step_factor=step * k)).h1 - expected).max()
        for k in (2, 4)
    ]
    assert errors[1] > 1e-13
    return np.log2(errors[0] / errors[1])


@pytest.mark.parametrize(
    "name",
    cases(
        FIRST_ORDER | HALVED,
        {*HALVED, "rk4", "two_step_midpoint", "asynchronous_leapfrog"},
    ),
)
def test_second_order_field_oscillates_with_the_order_of_the_method(name):
    integrator, order = (FIRST_ORDER | HALVED)[name]
    block = block_of({"kind": "second_order"}, (np.zeros(4), -K), integrator)
    h0 = np.hstack([X0, 0 * X0])
    root = scipy.linalg.sqrtm(K)
    position = X0 @ scipy.linalg.cosm(root * HORIZON)
    velocity = -X0 @ scipy.linalg.sinm(root * HORIZON) @ root
    expected = np.hstack([position, velocity])
    assert observed(block, h0, expected, order) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("name", cases(FIRST_ORDER, {"euler", "rk4"}))
def test_second_order_field_of_position_and_velocity_is_damped(name):
    integrator, order = FIRST_ORDER[name]
    weights = np.hstack([-K, DAMPED])
    field = {"kind": "second_order", "sees_velocity": True}
    block = block_of(field, (np.zeros(4), weights), integrator)
    h0 = np.hstack([X0, -X0])
    expected = flow(np.block([[ZERO, ONE], [-K, DAMPED]]), h0)
    assert observed(block, h0, expected, order) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize(
    "name",
    cases(FIRST_ORDER | OTHERS, {*OTHERS, "heun", "asynchronous_leapfrog", "reversible_rk4"}),
)
def test_data_controlled_field_follows_its_linear_flow(name):
    integrator, order = (FIRST_ORDER | OTHERS)[name]
    block = block_of({"kind": "data_controlled"}, (np.zeros(2), np.hstack([A, B])), integrator)
    if name == "leapfrog":
        whole = np.block([[ZERO, ONE, ZERO], [A, ZERO, B], [np.zeros((2, 6))]])
    elif name == "momentum":
        rate = -np.log(0.9)
        whole = np.block([[ZERO, ONE, ZERO], [rate * A, -rate * ONE, rate * B], [np.zeros((2, 6))]])
    else:
        whole = np.block([[A, B], [np.zeros((2, 4))]])
    start = np.hstack([X0, X0] if len(whole) == 4 else [X0, 0 * X0, X0])
    expected = flow(whole, start)[:, :2]
    assert observed(block, X0, expected, order) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("name", cases(CHOOSING, {"dopri5", "diffrax"}))
def test_adaptive_methods_follow_the_forms_to_their_tolerance(name):
    controlled = block_of(
        {"kind": "data_controlled"}, (np.zeros(2), np.hstack([A, B])), CHOOSING[name]
    )
    expected = flow(np.block([[A, B], [np.zeros((2, 4))]]), np.hstack([X0, X0]))[:, :2]
    np.testing.assert_allclose(controlled(jnp.asarray(X0)).h1, expected, rtol=1e-6)
    second = block_of({"kind": "second_order"}, (np.zeros(4), -K), CHOOSING[name])
    h0 = np.hstack([X0, 0 * X0])
    expected = flow(np.block([[ZERO, ONE], [-K, ZERO]]), h0)
    np.testing.assert_allclose(second(jnp.asarray(h0)).h1, expected, rtol=1e-6)


def adaptive_block(integrator, sign="free", weights="shared", field=None):
    config = DepthBlockConfig.model_validate(
        {
            "num_steps": 6,
            "field": {"kind": "depth_adaptive", "sign": sign, "inner": field or {"kind": "mlp"}},
            "weights": {"kind": weights},
            "step_sizes": {"kind": "fixed", "horizon": 1.2},
            "integrator": integrator if isinstance(integrator, dict) else integrator.model_dump(),
        }
    )
    return config, drawn(lambda: config.build((2,), rngs=nnx.Rngs(0)), seed=3)


METHODS = {name: integrator for name, (integrator, _) in FIRST_ORDER.items()} | CHOOSING


@pytest.mark.parametrize("name", cases(METHODS, {"euler", "asynchronous_leapfrog", "dopri5"}))
def test_depth_adaptive_block_is_the_plain_one_run_to_a_horizon_for_each_example(name):
    config, block = adaptive_block(METHODS[name])
    paces = block.weights.stacked.pace
    kernel, bias = (np.asarray(leaf[...])[0] for leaf in (paces.last.kernel, paces.last.bias))
    s = 1 + X0 @ kernel[:, 0] + bias[0]
    assert len(set(np.round(s, 3))) == 2
    inner = block.weights.stacked.inner
    found = block(jnp.asarray(X0)).h1
    for row in range(2):
        sizes = {"kind": "fixed", "horizon": abs(float(s[row])) * 1.2}
        plain = config.model_copy(update={"field": config.field.inner})
        plain = DepthBlockConfig.model_validate(plain.model_dump() | {"step_sizes": sizes})
        alone = drawn(lambda plain=plain: plain.build((2,), rngs=nnx.Rngs(0)), seed=3)
        alone.weights.stacked = inner
        taus = np.full(6, s[row] * 0.2)
        alone.step_sizes.taus = lambda taus=taus: jnp.asarray(taus)
        expected = alone(jnp.asarray(X0[row : row + 1])).h1
        tolerance = 1e-6 if name in CHOOSING else 1e-12 if "implicit" not in name else 1e-5
        np.testing.assert_allclose(np.asarray(found)[row], np.asarray(expected)[0], rtol=tolerance)


def test_depth_adaptive_hamiltonian_is_run_by_verlet_and_inverted():
    field = {"kind": "hamiltonian"}
    ends = [
        adaptive_block({"kind": "verlet", "remat": remat}, "positive", "per_layer", field)[1](
            jnp.asarray(X0)
        ).h1
        for remat in ("reversible", "none")
    ]
    np.testing.assert_allclose(*ends, rtol=1e-13)


@pytest.mark.parametrize("kind", ["data_controlled", "depth_adaptive", "second_order"])
def test_weights_over_depth_and_paths_go_with_every_form(kind):
    config = DepthBlockConfig.model_validate(
        {
            "num_steps": 4,
            "field": {"kind": kind},
            "weights": {"kind": "basis", "num_basis": 3},
            "step_sizes": {"kind": "fixed", "horizon": 1.0},
            "integrator": {"kind": "dopri5", "rtol": 1e-9, "atol": 1e-9},
        }
    )
    block = drawn(lambda: config.build((2,), rngs=nnx.Rngs(0)), seed=6)
    found = block(jnp.asarray(X0), save_path=True)
    fine = Discretisation(CONFIG.validate_python({"kind": "rk4"}).build(), step_factor=16)
    expected = block(jnp.asarray(X0), fine, save_path=True)
    np.testing.assert_allclose(found.path, np.asarray(expected.path)[::16], rtol=1e-5)
