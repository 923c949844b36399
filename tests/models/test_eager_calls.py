"""Calls outside of `jax.jit`: compiled once, with the values of compiled ones."""

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from user_settings import settings_of_a_user  # noqa: F401

from odenet.integrators import ExplicitConfig
from odenet.models import DepthBlockConfig, FeedForwardBlockConfig
from odenet.models.discretisation import Discretisation

METHODS = {
    "euler": {"kind": "euler"},
    "rk4": {"kind": "rk4", "remat": "step"},
    "leapfrog": {"kind": "leapfrog"},
    "fractional": {"kind": "fractional"},
    "dopri5": {"kind": "dopri5"},
    "diffrax": {"kind": "diffrax", "max_steps": 16},
}


@pytest.fixture(scope="module")
def compiled():
    """Names of the programs that were compiled, as they are."""
    seen = []

    def note(event, duration_secs, **kwargs):
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(kwargs)

    jax.monitoring.register_event_duration_secs_listener(note)
    return seen


def block_of(integrator, **options):
    config = {"num_steps": 4, "integrator": integrator}
    return DepthBlockConfig(**(config | options)).build((4,), rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.product if name == "rk4" else ()) for name in METHODS],
)
def test_second_calls_compile_nothing_and_give_what_compiled_ones_give(name, compiled):
    x, y = jnp.full((2, 4), 1.0), jnp.full((2, 4), 0.3)
    block, same = block_of(METHODS[name]), block_of(METHODS[name])
    before = len(compiled)
    block(x)
    assert len(compiled) > before
    params = nnx.state(same, nnx.Param)
    nnx.update(same, jax.tree.map(lambda leaf: 1.1 * leaf, params))
    before = len(compiled)
    found, other = block(y), same(y)
    assert len(compiled) == before
    assert np.max(np.abs(found.h1 - other.h1)) > 1e-4
    graphdef, state = nnx.split(same)
    expected = jax.jit(lambda state, y: nnx.merge(graphdef, state)(y))(state, y)
    np.testing.assert_allclose(other.h1, expected.h1, rtol=1e-6)
    assert int(other.stats.nfe) == int(expected.stats.nfe)


def test_second_gradients_paths_and_other_integrators_compile_nothing(compiled):
    block, x = block_of(METHODS["leapfrog"]), jnp.ones((2, 4))
    euler = block_of(METHODS["euler"])
    by_rk4 = Discretisation(ExplicitConfig(kind="rk4").build())
    calls = (
        lambda: nnx.grad(lambda block: jnp.sum(block(x).h1))(block),
        lambda: block(x, save_path=True).path,
        lambda: euler(x, by_rk4).h1,
        lambda: euler.inverse(x).h1,
        lambda: jax.vmap(lambda x: euler(x).h1)(jnp.ones((3, 2, 4))),
    )
    first = [call() for call in calls]
    before = len(compiled)
    for one, call in zip(first, calls, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, call())
    assert len(compiled) == before


def test_plain_layers_are_compiled_once(compiled):
    block = FeedForwardBlockConfig(num_layers=3).build((4,), rngs=nnx.Rngs(0))
    first = block(jnp.ones((2, 4))).h1
    before = len(compiled)
    np.testing.assert_array_equal(block(jnp.ones((2, 4))).h1, first)
    assert len(compiled) == before


def test_running_statistics_move_in_calls_that_are_not_compiled():
    config = {"num_steps": 2, "field": {"kind": "residual"}, "integrator": {"kind": "euler"}}
    eager, other = (DepthBlockConfig(**config).build((4, 4, 2), rngs=nnx.Rngs(0)) for _ in range(2))
    x = jax.random.normal(jax.random.key(0), (3, 4, 4, 2))
    start = nnx.to_pure_dict(nnx.state(eager, nnx.BatchStat))
    for _ in range(2):
        eager(x, training=True)
        nnx.jit(lambda block, x: block(x, training=True).h1)(other, x)
    found, expected = (nnx.to_pure_dict(nnx.state(b, nnx.BatchStat)) for b in (eager, other))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)
    moved = jax.tree.map(lambda a, b: float(jnp.max(jnp.abs(a - b))), found, start)
    assert min(jax.tree.leaves(moved)) > 1e-3
