"""Networks with memory against the published recursion, written out, and exact solutions."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from finite_differences import check_gradient

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import ExplicitConfig, FractionalConfig
from odenet.integrators.fractional import caputo_derivative, memory_coefficients
from odenet.training.parallel import peak_bytes

GAMMA = 0.6
TAUS = jnp.asarray([0.3, 0.1, 0.45, 0.2, 0.7, 0.15])
WEIGHTS = jax.random.normal(jax.random.key(0), (6, 3, 3))
BIASES = jax.random.normal(jax.random.key(1), (6, 3))
H0 = jax.random.normal(jax.random.key(2), (2, 3))


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
    np.testing.assert_allclose(
        network(WEIGHTS, BIASES, TAUS, H0), published(WEIGHTS, BIASES, TAUS, H0), rtol=1e-12
    )


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


def test_full_gradient_equals_finite_differences():
    check_gradient(
        lambda at: jnp.sum(network(at[0], at[1], at[2], at[3]) ** 2), (WEIGHTS, BIASES, TAUS, H0)
    )


def test_equal_steps_have_the_weights_of_the_uniform_scheme():
    found = memory_coefficients(jnp.full(5, 0.3), GAMMA)
    expected = np.zeros((5, 5))
    for n in range(5):
        for j in range(n):
            expected[n, j] = (n + 1 - j) ** (1 - GAMMA) - (n - j) ** (1 - GAMMA)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_coefficients_keep_their_digits_in_single_precision():
    taus = jnp.full(1000, 0.01, jnp.float32)
    found = memory_coefficients(taus, 0.9)
    assert found.dtype == jnp.float32
    exact = memory_coefficients(taus.astype(jnp.float64), 0.9)
    np.testing.assert_allclose(found, exact, rtol=2e-4)


@pytest.mark.parametrize("gamma", [0.3, 0.5, 0.8])
def test_caputo_derivative_of_a_square_converges_at_rate_two_minus_gamma(gamma):
    errors = []
    for num_steps in (64, 128, 256):
        t = jnp.linspace(0.0, 1.0, num_steps + 1)
        found = caputo_derivative(jnp.diff(t), t**2, gamma)
        errors.append(abs(found[-1] - 2 / math.gamma(3 - gamma)))
    rates = np.log2(np.asarray(errors[:-1]) / np.asarray(errors[1:]))
    np.testing.assert_allclose(rates, 2 - gamma, atol=0.1)


def test_caputo_derivative_of_a_line_is_exact_on_unequal_steps():
    t = DepthGrid(TAUS).times
    expected = t[1:] ** (1 - GAMMA) / math.gamma(2 - GAMMA)
    np.testing.assert_allclose(caputo_derivative(TAUS, t, GAMMA), expected, rtol=1e-12)


def test_path_has_the_caputo_derivative_that_the_field_asks_for():
    grid, fields = DepthGrid(TAUS, 6), layers(WEIGHTS, BIASES)
    path = FractionalConfig(gamma=GAMMA).build().integrate(fields, grid, H0, save_path=True).path
    derivatives = [
        fields.apply((WEIGHTS[k], BIASES[k]), grid.times[k], path[k]) for k in range(len(TAUS))
    ]
    np.testing.assert_allclose(caputo_derivative(TAUS, path, GAMMA), derivatives, rtol=1e-11)


def test_relaxation_converges_to_the_mittag_leffler_function():
    errors = []
    for num_steps in (100, 200, 400):
        fields = LayerFields.from_function(lambda t, h: -h)
        grid = DepthGrid(jnp.full(num_steps, 1 / num_steps))
        h1 = FractionalConfig(gamma=0.5).build().integrate(fields, grid, jnp.ones((1, 1))).h1
        errors.append(abs(float(h1[0, 0]) - scipy.special.erfcx(1.0)))
    assert errors[-1] < 2e-3
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 1.0, atol=0.15)


def test_order_one_is_the_residual_network():
    grid, fields = DepthGrid(TAUS, 6), layers(WEIGHTS, BIASES)
    euler = ExplicitConfig().build().integrate(fields, grid, H0, save_path=True).path
    ours = FractionalConfig(gamma=1.0).build().integrate(fields, grid, H0, save_path=True).path
    np.testing.assert_allclose(ours, euler, rtol=1e-14)
    near = FractionalConfig(gamma=1 - 1e-7).build().integrate(fields, grid, H0, save_path=True).path
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
    shared = LayerFields(layers(WEIGHTS, BIASES).apply, (WEIGHTS[:3], BIASES[:3]), 3)
    found = FractionalConfig(gamma=GAMMA).build().integrate(shared, DepthGrid(TAUS, 3), H0).h1
    twice = jnp.repeat(WEIGHTS[:3], 2, axis=0), jnp.repeat(BIASES[:3], 2, axis=0)
    np.testing.assert_allclose(found, published(*twice, TAUS, H0), rtol=1e-12)
