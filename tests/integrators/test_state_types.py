"""What an integration accepts as a state, and in which precision times and increments are kept."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import TypeAdapter
from user_settings import settings_of_a_user  # noqa: F401

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.errors import ConfigError, OdenetError, StateTypeError
from odenet.integrators import IntegratorConfig

CONFIG = TypeAdapter(IntegratorConfig)
product = pytest.mark.product
KINDS = (
    "euler",
    "rk4",
    "two_step_midpoint",
    "asynchronous_leapfrog",
    "reversible_rk",
    "leapfrog",
    "momentum",
    "fractional",
    "dopri5",
    "diffrax",
)


def run(kind, field, taus, h0, **options):
    fields = LayerFields.from_function(field)
    integrator = CONFIG.validate_python({"kind": kind}).build()
    return integrator.integrate(fields, DepthGrid(jnp.asarray(taus)), h0, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "h0", [jnp.full((2, 1), 16), jnp.full((2, 1), True), np.full((2, 1), 16, np.uint8)], ids=str
)
def test_states_of_integers_are_refused(kind, h0):
    with pytest.raises(StateTypeError, match=rf"got h0 of type {h0.dtype}.*astype\(jnp.float32\)"):
        run(kind, lambda t, h: -h, [0.25] * 4, h0)


def test_states_of_floating_point_numbers_from_numpy_are_integrated():
    found = run("euler", lambda t, h: -h, [0.25] * 4, np.full((2, 1), 16.0), save_path=True)
    assert found.path is not None
    np.testing.assert_allclose(found.path[:, 0, 0], 16 * 0.75 ** np.arange(5), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_narrow_states_are_refused_where_the_field_is_wider(kind):
    weights = jnp.ones((1, 1), jnp.float32)
    h0 = jnp.ones((2, 1), jnp.bfloat16)
    with pytest.raises(OdenetError, match="got float32 for a state of type bfloat16"):
        jax.eval_shape(lambda h0: run(kind, lambda t, h: h @ weights, [1.0], h0), h0)


@pytest.mark.parametrize("kind", ["euler", "dopri5"])
def test_single_states_are_refused_where_the_field_is_double(kind):
    with jax.enable_x64(True), pytest.raises(StateTypeError, match="got float64"):
        run(kind, lambda t, h: h * jnp.ones((1, 1)), [1.0], jnp.ones((2, 1), jnp.float32))


def test_derivatives_of_another_shape_are_refused():
    with pytest.raises(StateTypeError, match=r"got \(2,\) for a state of shape \(2, 1\)"):
        run("euler", lambda t, h: h[:, 0], [1.0], jnp.ones((2, 1)))


IN_PRECISION = ("euler", "rk4", "two_step_midpoint", "dopri5")


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *((kind, jnp.bfloat16) for kind in IN_PRECISION),
        *(pytest.param(kind, jnp.float16, marks=product) for kind in IN_PRECISION[:-1]),
        ("dopri5", jnp.float16),
    ],
    ids=str,
)
def test_times_and_increments_keep_single_precision_beside_half(kind, dtype):
    def steep(t, h):  # its integral over [0, 1] is 1; a time of 8 bits would skip its steps
        return jnp.sin(8 * jnp.pi * t) ** 2 * jnp.ones_like(h) + h

    taus = np.full(512, 1 / 512)

    @jax.jit
    def paths(h0):
        line = run(kind, lambda t, h: t * jnp.ones_like(h), taus, h0)
        return line.h1, run(kind, steep, taus, h0, save_path=True).path

    (line, half), (_, single) = (paths(jnp.zeros((1, 1), kept)) for kept in (dtype, jnp.float32))
    assert line.dtype == dtype
    np.testing.assert_allclose(float(line[0, 0]), 0.5, atol=2**-8)
    assert half.dtype == dtype
    np.testing.assert_allclose(np.asarray(half, np.float32), single, rtol=2e-2, atol=2e-3)


def test_gradients_of_half_states_have_their_type_and_the_value_of_single_ones():
    @jax.jit
    @functools.partial(jax.grad, argnums=(0, 1))
    def slopes(h0, tau):
        return jnp.sum(run("rk4", lambda t, h: -t * h, tau * jnp.ones(64), h0).h1)

    found = slopes(jnp.ones((1, 1), jnp.bfloat16), jnp.float32(1 / 64))
    assert found[0].dtype == jnp.bfloat16
    # h(T) = exp(-T^2 / 2), T = 64 tau
    np.testing.assert_allclose(float(found[0][0, 0]), np.exp(-0.5), rtol=1e-2)
    np.testing.assert_allclose(float(found[1]), -64 * np.exp(-0.5), rtol=1e-2)


def test_step_sizes_of_integers_are_step_sizes_and_complex_ones_are_refused():
    grid = DepthGrid(jnp.asarray([1, 2]))
    np.testing.assert_array_equal(grid.times, [0.0, 1.0, 3.0])
    assert grid.times.dtype == grid.horizon.dtype == jnp.float32
    assert DepthGrid(jnp.ones(300, jnp.bfloat16)).horizon == 300
    found = run("euler", lambda t, h: t * jnp.ones_like(h), [1, 2], jnp.zeros((1, 1)))
    np.testing.assert_array_equal(found.h1, [[2.0]])
    with pytest.raises(ConfigError, match="complex64"):
        run("euler", lambda t, h: h, [1j], jnp.zeros((1, 1)))


def test_fields_and_grids_of_different_numbers_of_layers_are_refused():
    integrator = CONFIG.validate_python({"kind": "euler"}).build()
    fields = LayerFields.from_function(lambda t, h: h)
    with pytest.raises(ConfigError, match="got 1 fields and num_layers=2"):
        integrator.integrate(fields, DepthGrid(jnp.ones(2), 2), jnp.ones((1, 1)))
