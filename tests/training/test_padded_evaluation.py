"""Padding of an evaluation's last batch has no part in the steps of adaptive methods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import TypeAdapter
from user_settings import settings_of_a_user  # noqa: F401

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import Failure, IntegratorConfig
from odenet.ops.batch_axis import batch_axis, padded_batch

CONFIG = TypeAdapter(IntegratorConfig)
KINDS = {
    "dopri5": {"kind": "dopri5"},
    "bosh3": {"kind": "bosh3"},
    "tsit5": {"kind": "diffrax", "solver": "tsit5"},
}


def turning(t, h):
    """`h' = k cos(k t)` of states `(sin(k t), k)`."""
    k = h[:, 1:]
    return jnp.concatenate([k * jnp.cos(k * t), jnp.zeros_like(k)], axis=1)


def states(rates):
    rates = np.asarray(rates, np.float32)
    return jnp.asarray(np.stack([np.zeros_like(rates), rates], axis=1))


def solve(kind, h0, tolerance=1e-4):
    options = {"rtol": tolerance, "atol": tolerance}
    mapping = dict(KINDS[kind], max_steps=1024)
    mapping |= {"controller": options} if kind == "tsit5" else options
    integrator = CONFIG.validate_python(mapping).build()
    fields, grid = LayerFields.from_function(turning), DepthGrid(jnp.ones(1))
    return integrator.integrate(fields, grid, h0)


CASES = [
    "dopri5",
    pytest.param("bosh3", marks=pytest.mark.product),  # the method of dopri5 with other numbers
    "tsit5",
]


@pytest.mark.parametrize("kind", CASES)
def test_steps_of_a_padded_batch_are_those_of_its_examples(kind):
    real, hard = [3.0, 4.0, 5.0], 60.0

    @jax.jit
    def padded(h0, weights):
        with padded_batch(weights):
            return solve(kind, h0)

    alone = jax.jit(lambda h0: solve(kind, h0))(states(real))
    weights = jnp.asarray([1.0, 1.0, 1.0, 0.0, 0.0])
    found = padded(states([*real, hard, hard]), weights)
    assert int(found.stats.nfe) == int(alone.stats.nfe)
    np.testing.assert_allclose(found.h1[:3], alone.h1, rtol=1e-4)
    broken = padded(states([*real, hard, np.nan]), weights)
    np.testing.assert_allclose(broken.h1[:3], alone.h1, rtol=1e-4)
    assert bool(broken.stats.success)
    assert int(padded(states([3.0, np.nan, 5.0, 1.0, 1.0]), weights).stats.failure) in (
        Failure.NOT_FINITE,
        Failure.STEP_TOO_SMALL,
    )


def test_padding_on_one_shard_has_no_part_in_the_steps_of_all():
    def shard(h0, weights):
        with batch_axis("devices"), padded_batch(weights):
            return solve("dopri5", h0)

    h0 = states([3.0, 4.0, 5.0, 60.0]).reshape(2, 2, 2)
    weights = jnp.asarray([[1.0, 1.0], [1.0, 0.0]])
    found = jax.jit(jax.vmap(shard, axis_name="devices"))(h0, weights)
    alone = jax.jit(lambda h0: solve("dopri5", h0))(states([3.0, 4.0, 5.0]))
    np.testing.assert_array_equal(found.stats.nfe, np.full(2, int(alone.stats.nfe)))


@pytest.mark.parametrize(
    "kind",
    ["dopri5", *(pytest.param(kind, marks=pytest.mark.product) for kind in ("bosh3", "tsit5"))],
)
def test_one_hard_example_among_easy_ones_has_the_error_that_the_guide_tells(kind):
    """The norm is over the whole batch: 127 examples at rest let the steps of one grow."""
    solved = jax.jit(solve, static_argnums=(0, 2))
    alone = solved(kind, states([60.0])).h1[0, 0]
    among = solved(kind, states([60.0] + [0.0] * 127)).h1[0, 0]
    assert abs(float(alone) - np.sin(60)) < 3e-4
    assert abs(float(among) - np.sin(60)) > 5 * abs(float(alone) - np.sin(60))
    tighter = solved(kind, states([60.0] + [0.0] * 127), 1e-4 / 128**0.5).h1[0, 0]
    assert abs(float(tighter) - np.sin(60)) < 3e-4
