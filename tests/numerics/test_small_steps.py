"""Steps of size zero, increments far smaller than the state, and second derivatives by steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import TypeAdapter
from user_settings import as_a_user

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import IntegratorConfig

CONFIG = TypeAdapter(IntegratorConfig)
METHODS = {
    "euler": {"kind": "euler"},
    "rk4": {"kind": "rk4", "remat": "sqrt"},
    "leapfrog": {"kind": "leapfrog"},
    "kick_drift": {"kind": "leapfrog", "form": "kick_drift"},
    "symplectic_euler": {"kind": "symplectic_euler"},
    "verlet": {"kind": "verlet"},
    "momentum": {"kind": "momentum", "gamma": 0.7},
    "asynchronous_leapfrog": {"kind": "asynchronous_leapfrog"},
    "reversible_rk": {"kind": "reversible_rk", "coupling": 0.95},
    "residual with memory": {"kind": "fractional", "gamma": 1.0},
    "dopri5": {"kind": "dopri5", "rtol": 1e-9, "atol": 1e-9, "max_steps": 128},
    "diffrax": {"kind": "diffrax", "controller": {"kind": "constant"}},
}
ZERO = 3
TAUS = np.array([0.3, 0.5, 0.2, 0.0, 0.25, 0.3])


def made(name, **options):
    return CONFIG.validate_python(METHODS.get(name, {"kind": name}) | options).build()


def field_of(params, t, h):
    """A partitioned field."""
    y, z = jnp.split(h, 2, axis=-1)
    derivatives = [jnp.tanh(z @ params["w"] + t), -jnp.sin(y @ params["v"] + 2 * t)]
    return jnp.concatenate(derivatives, axis=-1)


def layers(kept=tuple(range(6))):
    draw = np.random.default_rng(0)
    params = {name: draw.normal(size=(6, 2, 2))[list(kept)] for name in ("w", "v")}
    return LayerFields(field_of, jax.tree.map(jnp.asarray, params), len(list(kept)))


H0 = np.random.default_rng(1).normal(size=(2, 4))


def program(integrator, kept=tuple(range(6))):
    """Path and loss as a function of the step sizes."""
    fields = layers(kept)

    def run(taus):
        grid = DepthGrid(taus, fields.num_layers)
        path = integrator.integrate(fields, grid, jnp.asarray(H0), save_path=True).path
        assert path is not None
        return path

    return run


def loss(path):
    return jnp.sum(jnp.sin(path[-1]))


@pytest.mark.parametrize("name", METHODS)
def test_a_step_of_size_zero_keeps_the_state_and_has_the_derivative_of_the_others(name):
    run = program(made(name))
    path, pull = jax.vjp(run, jnp.asarray(TAUS))
    if name != "reversible_rk":  # its coupling draws the two states together at every step
        np.testing.assert_array_equal(path[ZERO + 1], path[ZERO])
    left_out = tuple(k for k in range(6) if k != ZERO)
    if name not in ("reversible_rk", "asynchronous_leapfrog"):  # a step turns its derivative round
        without = program(made(name), left_out)(jnp.asarray(TAUS[list(left_out)]))
        np.testing.assert_allclose(path[-1], without[-1], rtol=1e-9)

    (gradient,) = pull(jax.grad(loss)(path))
    end = jax.jit(lambda taus: loss(run(taus)))
    steps = 1e-5 * np.eye(6)
    differences = [(end(TAUS + step) - end(TAUS - step)) / 2e-5 for step in steps]
    if name == "residual with memory":  # powers of negative steps are no numbers
        one, two = (end(TAUS + n * steps[ZERO]) for n in (1, 2))
        differences[ZERO] = (4 * one - two - 3 * end(TAUS)) / 2e-5
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-8)


def two_steps(taus, nudge=0.0):
    """The two-step midpoint method in NumPy, which passes over the step of size zero.

    `nudge` moves the state there, and the time after it, as a short step of Euler does.
    """
    weights, h, t, derivative, before = layers().params, H0, 0.0, 0.0, None
    for k, tau in enumerate(taus):
        f = np.asarray(field_of(jax.tree.map(lambda w, k=k: w[k], weights), t, jnp.asarray(h)))
        if tau == 0:
            h, t = h + nudge * f, t + nudge
            continue
        derivative = f if before is None else f + tau / before * (f - derivative)
        h, t, before = h + tau * derivative, t + tau, tau
    return float(np.sum(np.sin(h)))


@pytest.mark.parametrize("remat", ["reversible", "none"])
@pytest.mark.parametrize("zero", [0, ZERO])
def test_two_step_midpoint_passes_over_a_step_of_size_zero(remat, zero):
    taus = np.array([0.3, 0.5, 0.2, 0.4, 0.25, 0.3])
    taus[zero] = 0.0
    run = program(made("two_step_midpoint", remat=remat))
    value, gradient = jax.jit(jax.value_and_grad(lambda taus: loss(run(taus))))(taus)
    np.testing.assert_allclose(value, two_steps(taus), rtol=1e-12)
    for k in range(6):
        step = 1e-6 * (np.arange(6) == k)
        differences = (
            two_steps(taus, 1e-6) - two_steps(taus, -1e-6)
            if k == zero
            else two_steps(taus + step) - two_steps(taus - step)
        )
        np.testing.assert_allclose(gradient[k], differences / 2e-6, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("zero", [0, ZERO, 5])
def test_memory_passes_over_a_step_of_size_zero(zero):
    taus = np.array([0.3, 0.5, 0.2, 0.4, 0.25, 0.3])
    taus[zero] = 0.0
    left_out = tuple(k for k in range(6) if k != zero)
    integrator = made("fractional", gamma=0.5)
    run, without = program(integrator), program(integrator, left_out)
    path = run(jnp.asarray(taus))
    np.testing.assert_array_equal(path[zero + 1], path[zero])
    of_others = [loss(without(jnp.asarray(taus[list(left_out)])))]
    np.testing.assert_allclose(loss(path), of_others[0], rtol=1e-12)
    gradient = jax.grad(lambda taus: loss(run(taus)))(jnp.asarray(taus))
    expected = jax.grad(lambda taus: loss(without(taus)))(jnp.asarray(taus[list(left_out)]))
    np.testing.assert_allclose(gradient[np.array(left_out)], expected, rtol=1e-10)
    assert np.isfinite(gradient[zero])


@pytest.mark.parametrize(
    "name",
    ["euler", "rk4", "heun", "ralston", "midpoint", "two_step_midpoint", "asynchronous_leapfrog"],
)
def test_increments_far_smaller_than_the_state_are_added_once(name):
    with as_a_user():
        fields = LayerFields.from_function(lambda t, h: jnp.ones_like(h))
        integrator = made(name)
        run = jax.jit(lambda taus: integrator.integrate(fields, DepthGrid(taus), H1).h1)
        H1 = jnp.zeros((1, 1), jnp.float32)
        end = float(run(jnp.full(59_000, 1e-4, jnp.float32))[0, 0])
    assert abs(end - 5.9) <= 1.1 * (5.90074 - 5.9)


@pytest.mark.parametrize("name", ["two_step_midpoint", "leapfrog", "momentum", "verlet"])
def test_second_derivatives_by_steps_are_those_of_stored_states_and_differences(name):
    taus = jnp.asarray([0.3, 0.5, 0.2, 0.4, 0.25, 0.3])
    hessians = {}
    for remat in ("reversible", "none"):
        run = program(made(name, remat=remat))
        gradient = jax.jit(jax.grad(lambda taus, run=run: loss(run(taus))))
        hessians[remat] = jax.jit(jax.jacrev(gradient))(taus)
    np.testing.assert_allclose(hessians["reversible"], hessians["none"], rtol=1e-8, atol=1e-10)
    steps = 1e-5 * np.eye(6)
    columns = [(gradient(taus + step) - gradient(taus - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(hessians["reversible"], np.stack(columns, 1), rtol=1e-5, atol=1e-7)
