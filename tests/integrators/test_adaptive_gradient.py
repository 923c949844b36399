"""Memory, cost and kinds of the derivatives of adaptive methods."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.errors import DerivativeError
from odenet.integrators import AdaptiveConfig, step_store
from odenet.integrators.step_store import FEW, StepStore, store_sizes

KINDS = ("dopri5", "bosh3")
product = pytest.mark.product
MOSTLY_DOPRI5 = ("dopri5", pytest.param("bosh3", marks=product))


def end(config, h0, tau, field=lambda t, h: -h * h, **options):
    fields, grid = LayerFields.from_function(field), DepthGrid(tau * jnp.ones(3))
    return config.build().integrate(fields, grid, h0, **options)


@pytest.mark.parametrize("max_steps", [1, 63, FEW, FEW + 1, 1000, 8192, 100_000, 10**6])
def test_store_has_room_for_all_steps_and_follows_their_square_root(max_steps):
    kept, segment = store_sizes(max_steps, 2**17)
    assert kept * segment >= max_steps
    assert kept + segment <= max(2 * FEW, 4 * max_steps**0.5) + 1
    assert store_sizes(max_steps, 8)[0] >= min(max_steps, 2**17)
    assert segment == 1 or kept % 2 == 0


@pytest.mark.parametrize("count", [1, 5, 64, 65, 129, 500])
def test_stored_steps_come_back_in_reverse_with_their_states(count, monkeypatch):
    """A step adds 1 to the state, which begins at 0, so that the state tells its step."""
    monkeypatch.setattr(step_store, "SMALL", 0)

    @jax.jit
    def back_and_forth(count):
        number, h0 = jnp.zeros(()), jnp.zeros((1, 1))
        store = StepStore.empty(500, h0, number)

        def put(i, store):
            i = i.astype(jnp.int32)
            s = i.astype(number.dtype)
            store = store.with_step(i, s, -s, h0 - 1)  # rejected
            return store.with_step(i, s, 2 * s, h0 + s)

        store = jax.lax.fori_loop(jnp.int32(0), count, put, store)

        def back(s, ds, h, carry):
            index, seen = carry
            good = (h[0, 0] == s) & (ds == 2 * s)
            return index + 1, seen.at[index].set(jnp.where(good, s, -1.0))

        start = (jnp.int32(0), jnp.full((500,), -1.0))
        return store.backwards(count, lambda s, ds, h: h + 1, back, start)

    index, seen = back_and_forth(jnp.int32(count))
    assert int(index) == count
    np.testing.assert_array_equal(seen[:count], np.arange(count)[::-1])


@pytest.mark.parametrize(
    ("kind", "save_path"),
    [
        ("dopri5", True),
        ("bosh3", False),
        pytest.param("dopri5", False, marks=product),
        pytest.param("bosh3", True, marks=product),
    ],
)
def test_gradients_of_long_solves_are_those_of_all_states_kept(kind, save_path, monkeypatch):
    config = AdaptiveConfig(kind=kind, max_step=1 / 150, max_steps=1000, rtol=1e-9, atol=1e-9)

    def gradients():
        def loss(h0, tau):
            found = end(config, h0, tau, lambda t, h: jnp.cos(t) * h * h, save_path=save_path)
            return jnp.sum(jnp.sin(found.path if save_path else found.h1)), found.stats

        both = jax.grad(loss, argnums=(0, 1), has_aux=True)
        return jax.jit(both)(jnp.full((2, 1), 0.4), jnp.asarray(0.3))

    monkeypatch.setattr(step_store, "SMALL", 0)
    (d_h0, d_tau), stats = gradients()
    assert int(stats.accepted) > 2 * FEW
    monkeypatch.setattr(step_store, "FEW", 1000)
    (all_h0, all_tau), _ = gradients()
    np.testing.assert_allclose(d_h0, all_h0, rtol=1e-13)
    np.testing.assert_allclose(d_tau, all_tau, rtol=1e-13)
    if not save_path:  # h(T) = h0 / (1 - h0 sin T)
        last = 0.4 / (1 - 0.4 * np.sin(0.9))
        exact = np.cos(last) * (last / 0.4) ** 2
        np.testing.assert_allclose(d_h0, np.full((2, 1), exact), rtol=1e-7)


@pytest.mark.parametrize("max_steps", [64, 8192])
def test_backward_pass_evaluates_every_step_once_whatever_the_limit(max_steps):
    times = []

    def field(t, h):
        jax.debug.callback(lambda t: times.append(float(t)), t)
        return -h * h

    def loss(h0):
        found = end(AdaptiveConfig(max_steps=max_steps), h0, jnp.asarray(1.0), field)
        return jnp.sum(found.h1), found.stats

    _, stats = jax.block_until_ready(jax.jit(jax.grad(loss, has_aux=True))(jnp.ones((1, 1))))
    jax.effects_barrier()
    assert len(times) == int(stats.nfe) + 6 * int(stats.accepted)


@pytest.mark.parametrize("kind", MOSTLY_DOPRI5)
def test_memory_of_a_gradient_follows_the_root_of_the_largest_number_of_steps(kind):
    h0 = jax.ShapeDtypeStruct((128, 256), jnp.float32)
    state = 128 * 256 * 4

    def states(max_steps):
        config = AdaptiveConfig(kind=kind, max_steps=max_steps)
        fields = LayerFields.from_function(lambda t, h: -h * h)

        def loss(h0):
            grid = DepthGrid(jnp.ones(1, jnp.float32))
            return jnp.sum(config.build().integrate(fields, grid, h0).h1)

        compiled = jax.jit(jax.grad(loss)).lower(h0).compile()
        analysis: Any = compiled.memory_analysis()
        return analysis.temp_size_in_bytes / state

    assert states(64) < 64 + 40
    assert states(100_000) < 800  # 100 MiB, where all states and derivatives are 25 GB


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_are_right_in_forward_over_reverse_mode(kind):
    config = AdaptiveConfig(kind=kind, rtol=1e-9, atol=1e-9, max_steps=1024)

    def loss(x):
        return jnp.sin(end(config, x[0] * jnp.ones((1, 1)), x[1]).h1[0, 0])

    def exact(x):
        return jnp.sin(x[0] / (1 + 3 * x[0] * x[1]))

    at = jnp.asarray([0.7, 0.4])
    hessian = jax.jit(jax.jacfwd(jax.grad(loss)))(at)
    np.testing.assert_allclose(hessian, jax.jit(jax.hessian(exact))(at), rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "jitted"),
    [("dopri5", False), ("bosh3", True), pytest.param("dopri5", True, marks=product)],
)
def test_derivatives_that_are_missing_are_refused_with_those_that_have_them(kind, jitted):
    def loss(x):
        return jnp.sum(end(AdaptiveConfig(kind=kind), jnp.ones((1, 1)), x).h1)

    loss, at = (jax.jit(loss) if jitted else loss), jnp.asarray(0.5)
    with pytest.raises(DerivativeError, match=r"no forward mode.*adjoint\.kind=direct"):
        jax.jvp(loss, (at,), (at,))
    with pytest.raises(DerivativeError, match=r"jacfwd\(jax\.grad\(f\)\).*adjoint\.kind=direct"):
        jax.grad(jax.grad(loss))(at)
    if jitted:
        assert np.isfinite(jax.jit(jax.grad(loss))(at))
