"""Steps of size zero, increments far smaller than the state, and second derivatives by steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numerics.cases import cases
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
    "diffrax": {"kind": "diffrax", "solver": "heun", "controller": {"kind": "constant"}},
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


def layers():
    draw = np.random.default_rng(0)
    params = {name: jnp.asarray(draw.normal(size=(6, 2, 2))) for name in ("w", "v")}
    return LayerFields(field_of, params, 6)


H0 = np.random.default_rng(1).normal(size=(2, 4))


def without(values, number):
    """All but one of the values, along the first axis of every array."""
    return jax.tree.map(lambda leaf: np.delete(leaf, number, axis=0), values)


def program(integrator):
    """Path as a function of the step sizes, and of the parameters of as many layers."""

    def run(taus, params=None):
        fields = layers() if params is None else LayerFields(field_of, params, len(taus))
        grid = DepthGrid(taus, fields.num_layers)
        path = integrator.integrate(fields, grid, jnp.asarray(H0), save_path=True).path
        assert path is not None
        return path

    return run


def loss(path):
    return jnp.sum(jnp.sin(path[-1]))


def with_gradient(run):
    """Value, path and gradient by step sizes, as one program."""

    def value(*arguments):
        path = run(*arguments)
        return loss(path), path

    return jax.jit(jax.value_and_grad(value, has_aux=True))


@pytest.mark.parametrize("name", METHODS)
def test_a_step_of_size_zero_keeps_the_state_and_has_the_derivative_of_the_others(name):
    run = program(made(name))
    both = with_gradient(run)
    (at_zero, path), gradient = both(TAUS)
    path = np.asarray(path)
    if name != "reversible_rk":  # its coupling draws the two states together at every step
        np.testing.assert_array_equal(path[ZERO + 1], path[ZERO])
    if name not in ("reversible_rk", "asynchronous_leapfrog"):  # a step turns its derivative round
        left_out = jax.jit(run)(without(TAUS, ZERO), without(layers().params, ZERO))
        np.testing.assert_allclose(path[-1], np.asarray(left_out)[-1], rtol=1e-9)

    def end(taus):
        return float(both(taus)[0][0])

    steps = 1e-5 * np.eye(6)
    differences = [(end(TAUS + step) - end(TAUS - step)) / 2e-5 for step in steps]
    if name == "residual with memory":  # powers of negative steps are no numbers
        one, two = (end(TAUS + n * steps[ZERO]) for n in (1, 2))
        differences[ZERO] = (4 * one - two - 3 * float(at_zero)) / 2e-5
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-8)


def two_steps(taus, nudge=0.0):
    """The two-step midpoint method in NumPy, which passes over the step of size zero.

    `nudge` moves the state there, and the time after it, as a short step of Euler does.
    """
    weights = jax.tree.map(np.asarray, layers().params)
    h, t, derivative, before = H0, 0.0, 0.0, None
    for k, tau in enumerate(taus):
        y, z = np.split(h, 2, axis=-1)
        f = np.hstack([np.tanh(z @ weights["w"][k] + t), -np.sin(y @ weights["v"][k] + 2 * t)])
        if tau == 0:
            h, t = h + nudge * f, t + nudge
            continue
        derivative = f if before is None else f + tau / before * (f - derivative)
        h, t, before = h + tau * derivative, t + tau, tau
    return float(np.sum(np.sin(h)))


@functools.cache
def two_step_program(remat):
    return with_gradient(program(made("two_step_midpoint", remat=remat)))


@pytest.mark.parametrize("remat", ["reversible", "none"])
@pytest.mark.parametrize("zero", [0, ZERO])
def test_two_step_midpoint_passes_over_a_step_of_size_zero(remat, zero):
    taus = np.array([0.3, 0.5, 0.2, 0.4, 0.25, 0.3])
    taus[zero] = 0.0
    (value, _), gradient = two_step_program(remat)(taus)
    np.testing.assert_allclose(value, two_steps(taus), rtol=1e-12)
    gradient = np.asarray(gradient)
    for k in range(6):
        step = 1e-6 * (np.arange(6) == k)
        differences = (
            two_steps(taus, 1e-6) - two_steps(taus, -1e-6)
            if k == zero
            else two_steps(taus + step) - two_steps(taus - step)
        )
        np.testing.assert_allclose(gradient[k], differences / 2e-6, rtol=1e-6, atol=1e-8)


@functools.cache
def program_with_memory():
    return with_gradient(program(made("fractional", gamma=0.5)))


@pytest.mark.parametrize("zero", [0, ZERO, 5])
def test_memory_passes_over_a_step_of_size_zero(zero):
    taus = np.array([0.3, 0.5, 0.2, 0.4, 0.25, 0.3])
    taus[zero] = 0.0
    params = jax.tree.map(np.asarray, layers().params)
    both = program_with_memory()
    (value, path), gradient = both(taus, params)
    np.testing.assert_array_equal(np.asarray(path)[zero + 1], np.asarray(path)[zero])
    (of_others, _), expected = both(without(taus, zero), without(params, zero))
    np.testing.assert_allclose(value, of_others, rtol=1e-12)
    np.testing.assert_allclose(without(np.asarray(gradient), zero), expected, rtol=1e-10)
    assert np.isfinite(np.asarray(gradient)[zero])


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


@pytest.mark.parametrize(
    "name",
    cases(
        ["two_step_midpoint", "leapfrog", "momentum", "verlet"],
        {"two_step_midpoint"},  # leapfrog, with stages as the others have: test_reversible
    ),
)
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
