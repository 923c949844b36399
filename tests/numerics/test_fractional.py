"""Networks with memory against the published recursion, written out, and exact solutions."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import ExplicitConfig, FractionalConfig
from odenet.integrators.fractional import caputo_derivative, memory_coefficients
from odenet.training.parallel import peak_bytes

GAMMA = 0.6
DRAW = np.random.default_rng(0)
WEIGHTS, BIASES, H0 = (jnp.asarray(DRAW.normal(size=s)) for s in ((6, 3, 3), (6, 3), (2, 3)))
TAUS = jnp.asarray([0.3, 0.1, 0.45, 0.2, 0.7, 0.15])


def layers(weights, biases):
    def apply(params, t, h):
        return jnp.tanh(h @ params[0] + params[1][None, :]) + 0.1 * t

    return LayerFields(apply, (weights, biases), len(weights))


def network(weights, biases, taus, h0, **options):
    integrator = FractionalConfig(gamma=GAMMA, **options).build()
    return integrator.integrate(layers(weights, biases), DepthGrid(taus, len(taus)), h0).h1


def published(weights, biases, taus, h0, freeze=lambda a: a, gamma=GAMMA):
    """The recursion of the published program, layer `l` from 1, sums written out."""
    y, t = [h0], 0.0
    for step in range(1, len(taus) + 1):
        tau = taus[step - 1]
        derivative = jnp.tanh(y[-1] @ weights[step - 1] + biases[step - 1][None, :]) + 0.1 * t
        new = y[-1] + tau**gamma * math.gamma(2 - gamma) * derivative
        for j in range(step - 1):
            whole, rest = sum(taus[j:step]), sum(taus[j + 1 : step])
            a = tau**gamma / taus[j] * (whole ** (1 - gamma) - rest ** (1 - gamma))
            new = new - freeze(a) * (y[j + 1] - y[j])
        y.append(new)
        t = t + tau
    return y[-1]


def test_states_equal_the_published_recursion():
    found, expected = (jax.jit(f)(WEIGHTS, BIASES, TAUS, H0) for f in (network, published))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@functools.cache
def gradients_of(function):
    return jax.jit(jax.grad(lambda *at: jnp.sum(function(*at) ** 2), argnums=(0, 1, 2, 3)))(
        WEIGHTS, BIASES, TAUS, H0
    )


@pytest.mark.parametrize("remat", ["none", "step"])
def test_full_gradient_is_that_of_the_recursion(remat):
    found = gradients_of(lambda *at: network(*at, remat=remat))
    for ours, theirs in zip(found, gradients_of(published), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_gradient_without_memory_is_that_of_the_published_program():
    found = gradients_of(lambda *at: network(*at, memory_gradient=False))
    expected = gradients_of(lambda *at: published(*at, freeze=jax.lax.stop_gradient))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    full = gradients_of(network)[2]
    assert np.max(np.abs(found[2] - full)) > 0.05 * np.max(np.abs(full))


coefficients = jax.jit(memory_coefficients, static_argnums=1)


def test_equal_steps_have_the_weights_of_the_uniform_scheme():
    found = coefficients(np.full(5, 0.3), GAMMA)
    expected = np.zeros((5, 5))
    for n in range(5):
        for j in range(n):
            expected[n, j] = (n + 1 - j) ** (1 - GAMMA) - (n - j) ** (1 - GAMMA)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_coefficients_keep_their_digits_in_single_precision():
    taus = np.full(1000, 0.01, np.float32)
    found = coefficients(taus, 0.9)
    assert found.dtype == jnp.float32
    exact = coefficients(taus.astype(np.float64), 0.9)
    np.testing.assert_allclose(found, exact, rtol=2e-4)


@pytest.mark.parametrize("gamma", [0.3, 0.5, 0.8])
def test_caputo_derivative_of_a_square_converges_at_rate_two_minus_gamma(gamma):
    times = [np.linspace(0.0, 1.0, num_steps + 1) for num_steps in (64, 128, 256)]

    @jax.jit
    def derivatives(times):
        return [caputo_derivative(jnp.diff(t), t**2, gamma)[-1] for t in times]

    errors = [abs(float(found) - 2 / math.gamma(3 - gamma)) for found in derivatives(times)]
    rates = np.log2(np.asarray(errors[:-1]) / np.asarray(errors[1:]))
    np.testing.assert_allclose(rates, 2 - gamma, atol=0.1)


def test_caputo_derivative_of_a_line_is_exact_on_unequal_steps():
    t = np.r_[0, np.cumsum(TAUS)]
    expected = t[1:] ** (1 - GAMMA) / math.gamma(2 - GAMMA)
    found = jax.jit(caputo_derivative, static_argnums=2)(TAUS, t, GAMMA)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_path_has_the_caputo_derivative_that_the_field_asks_for():
    grid, fields = DepthGrid(TAUS, 6), layers(WEIGHTS, BIASES)
    integrator = FractionalConfig(gamma=GAMMA).build()

    @jax.jit
    def both(h0):
        path = integrator.integrate(fields, grid, h0, save_path=True).path
        known = (WEIGHTS, BIASES), grid.times[:-1], path[:-1]
        return caputo_derivative(TAUS, path, GAMMA), jax.vmap(fields.apply)(*known)

    np.testing.assert_allclose(*both(H0), rtol=1e-11)


def test_relaxation_converges_to_the_mittag_leffler_function():
    fields, integrator = (
        LayerFields.from_function(lambda t, h: -h),
        FractionalConfig(gamma=0.5).build(),
    )
    run = jax.jit(lambda taus, h0: integrator.integrate(fields, DepthGrid(taus), h0).h1)
    errors = [
        abs(run(np.full(num_steps, 1 / num_steps), np.ones((1, 1))).item() - scipy.special.erfcx(1))
        for num_steps in (100, 200, 400)
    ]
    assert errors[-1] < 2e-3
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 1.0, atol=0.15)


def test_order_one_is_the_residual_network():
    grid, fields = DepthGrid(TAUS, 6), layers(WEIGHTS, BIASES)
    configs = ExplicitConfig(), FractionalConfig(gamma=1.0), FractionalConfig(gamma=1 - 1e-7)

    @jax.jit
    def paths(h0):
        return [c.build().integrate(fields, grid, h0, save_path=True).path for c in configs]

    euler, ours, near = paths(H0)
    np.testing.assert_allclose(ours, euler, rtol=1e-14)
    np.testing.assert_allclose(near, euler, atol=1e-5)


def test_memory_of_a_gradient_grows_with_depth_and_not_with_its_square():
    def bytes_of(num_steps):
        integrator = FractionalConfig().build()
        grid = DepthGrid(jnp.full(num_steps, 0.1), num_steps)

        def loss(weights, h0):
            fields = LayerFields(lambda w, t, h: jnp.tanh(h @ w), weights, num_steps)
            return jnp.sum(integrator.integrate(fields, grid, h0).h1 ** 2)

        weights, h0 = jnp.zeros((num_steps, 4, 4)), jnp.zeros((2000, 4))
        return peak_bytes(jax.jit(jax.grad(loss)).lower(weights, h0).compile())

    assert bytes_of(128) < 2.3 * bytes_of(64)


def test_layers_of_several_steps_share_their_weights():
    first = np.asarray(WEIGHTS)[:3], np.asarray(BIASES)[:3]
    shared = LayerFields(layers(WEIGHTS, BIASES).apply, first, 3)
    integrator = FractionalConfig(gamma=GAMMA).build()
    found = jax.jit(lambda taus: integrator.integrate(shared, DepthGrid(taus, 3), H0).h1)(TAUS)
    twice = (np.repeat(part, 2, axis=0) for part in first)
    np.testing.assert_allclose(found, jax.jit(published)(*twice, TAUS, H0), rtol=1e-12)
