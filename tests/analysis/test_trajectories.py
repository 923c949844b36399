"""Paths, planes and crossings, against what is known of maps and flows."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.precision import in_float64, randomised

from odenet.analysis.crossings import crossings, orientation
from odenet.analysis.field_path import field_path
from odenet.analysis.trajectories import block_trajectories, plain, principal_plane
from odenet.errors import ConfigError
from odenet.models import DepthBlockConfig, FeedForwardBlockConfig


def linear_block(matrix, tau, integrator="euler", num_steps=3, **options):
    """h' = A h, with rows as states."""
    config = DepthBlockConfig.model_validate(
        {
            "num_steps": num_steps,
            "field": {"kind": "mlp", "activation": "identity"},
            "weights": {"kind": "shared"},
            "step_sizes": {"kind": "fixed", "tau": tau},
            "integrator": integrator if isinstance(integrator, dict) else {"kind": integrator},
            **options,
        }
    )
    matrix = jnp.asarray(matrix, float)
    block = in_float64(config.build((len(matrix),), rngs=nnx.Rngs(0)))
    kernel = block.weights.stacked.affine[0].kernel
    kernel[...] = jnp.broadcast_to(matrix.T, kernel.shape)
    return block


def inversions(path):
    """Pairs whose order differs at neighbouring points, by going through them all."""
    points, batch = path.shape[:2]
    found = []
    for k in range(points - 1):
        now, then = path[k, :, 0], path[k + 1, :, 0]
        found.append(
            sum(
                (now[i] < now[j]) != (then[i] < then[j])
                for i in range(batch)
                for j in range(i + 1, batch)
            )
        )
    return found


def test_crossings_in_one_dimension_are_changes_of_order(getkey):
    path = np.asarray(jax.random.normal(getkey(), (6, 9, 1)))
    found = crossings(path)
    assert found.in_step.tolist() == inversions(path)
    assert found.all_pairs == 36


@pytest.mark.parametrize(("tau", "crossing"), [(0.9, 0), (1.1, 10), (2.5, 10)])
def test_euler_swaps_all_pairs_of_a_decay_once_its_step_is_too_long(tau, crossing):
    """h + tau (-h): all differences change sign where tau > 1, and the determinant is 1 - tau."""
    block = linear_block([[-1.0]], tau)
    path = field_path(block, jnp.asarray([[-2.0], [-1.0], [0.5], [1.0], [4.0]]))
    found = block_trajectories(path)
    assert found.crossings.in_step.tolist() == [crossing] * 3
    assert found.crossings.pairs == crossing
    assert found.orientation.reversed_examples == (5 if crossing else 0)
    assert found.orientation.in_step.tolist() == ([5] * 3 if crossing else [0] * 3)


@pytest.mark.parametrize(
    "integrator",
    [
        {"kind": "dopri5"},
        pytest.param({"kind": "diffrax"}, marks=pytest.mark.product),
        {"kind": "rk4"},
    ],
    ids=str,
)
def test_paths_of_an_ode_do_not_cross_nor_turn_over(integrator):
    """A nonlinear field in one dimension, solved well: order is kept, whatever the weights."""
    config = DepthBlockConfig.model_validate(
        {
            "num_steps": 4,
            "field": {"kind": "mlp", "hidden": [8]},
            "step_sizes": {"kind": "fixed", "tau": 0.2},
            "integrator": integrator,
        }
    )
    block = randomised(config.build((1,), rngs=nnx.Rngs(0)), jax.random.key(2), 1.0)
    found = block_trajectories(field_path(block, jnp.linspace(-2, 2, 12)[:, None]))
    assert found.crossings.pairs == 0
    assert found.orientation.reversed_examples == 0


def test_momentum_crosses_where_its_state_is_no_ode():
    """Sander et al. 2021: a velocity carries states through each other."""
    block = linear_block([[-1.0]], 1.0, {"kind": "momentum", "gamma": 0.9}, num_steps=30)
    found = block_trajectories(field_path(block, jnp.asarray([[-1.0], [1.0]])))
    assert found.crossings.pairs == 1
    assert found.orientation.reversed_examples == 2
    # One dimension, one eigenvalue: both examples turn over where their paths cross.
    assert (2 * found.crossings.in_step).tolist() == found.orientation.in_step.tolist()


@pytest.mark.parametrize(
    ("matrix", "tau", "pairs", "turned"),
    [
        # Half a turn of every difference: the determinant (1 - tau)^2 is positive, all pairs meet.
        ([[-1.0, 0.0], [0.0, -1.0]], 2.0, 3, 0),
        # A reflection turns space over; only pairs along its axis meet.
        ([[-1.0, 0.0], [0.0, 0.0]], 2.0, 1, 3),
        # A rotation by Euler does neither.
        ([[0.0, -1.0], [1.0, 0.0]], 0.5, 0, 0),
    ],
)
def test_plane_is_turned_over_by_a_reflection_and_met_in_by_half_a_turn(matrix, tau, pairs, turned):
    block = linear_block(matrix, tau, num_steps=1)
    h0 = jnp.asarray([[1.0, 0.3], [-1.0, 0.3], [0.2, 2.0]])
    found = block_trajectories(field_path(block, h0))
    assert found.crossings.pairs == pairs
    assert found.orientation.reversed_examples == turned


def test_large_states_are_paired_without_an_array_of_all_differences(getkey):
    """The same paths in a subspace of seven dimensions cross in the same steps."""
    line = np.asarray(jax.random.normal(getkey(), (5, 6, 1)))
    direction = np.asarray(jax.random.normal(getkey(), (1, 7)))
    assert crossings(line @ direction).in_step.tolist() == crossings(line).in_step.tolist()
    pairs = crossings(line).in_step
    assert pairs.sum() > 0


def test_states_that_only_round_off_tells_apart_do_not_cross():
    path = np.asarray([[[1.0], [1.0 + 1e-7]], [[1.0 + 1e-7], [1.0]]], np.float32)
    found = crossings(path)
    assert found.pairs == 0
    assert found.all_pairs == 0


def test_plain_layers_are_followed_too():
    config = FeedForwardBlockConfig.model_validate(
        {"num_layers": 1, "field": {"kind": "mlp", "activation": "identity"}}
    )
    block = in_float64(config.build((1,), rngs=nnx.Rngs(0)))
    block.weights.stacked.affine[0].kernel[...] = -jnp.ones((1, 1, 1))
    found = block_trajectories(field_path(block, jnp.asarray([[1.0], [2.0]])))
    assert found.fields == ()
    assert found.crossings.pairs == 1
    assert found.orientation.reversed_examples == 2


@pytest.mark.parametrize("shape", [(5, 4, 6), (2, 3, 30)])
def test_plane_is_that_of_the_singular_value_decomposition(getkey, shape):
    states = np.asarray(jax.random.normal(getkey(), shape))
    plane, parts = principal_plane(states)
    rows = states.reshape(-1, shape[-1])
    u, s, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(parts, s[:2] ** 2 / np.sum(s**2), rtol=1e-10)
    np.testing.assert_allclose(
        np.abs(plane.reshape(-1, 2)), np.abs(u[:, :2] * s[:2]), rtol=1e-7, atol=1e-10
    )


def test_field_that_is_drawn_is_that_of_its_step():
    config = DepthBlockConfig.model_validate(
        {
            "num_steps": 4,
            "field": {"kind": "mlp"},
            "weights": {"kind": "per_layer", "num_layers": 2},
            "step_sizes": {"kind": "fixed", "tau": 0.5},
        }
    )
    block = randomised(config.build((2,), rngs=nnx.Rngs(0)), jax.random.key(2))
    found = block_trajectories(field_path(block, jax.random.normal(jax.random.key(1), (5, 2))))
    affine = block.weights.stacked.affine[0]
    assert [sample.step for sample in found.fields] == [0, 2, 3]
    for sample in found.fields:
        layer = sample.step // 2
        kernel, bias = np.asarray(affine.kernel[...])[layer], np.asarray(affine.bias[...])[layer]
        np.testing.assert_allclose(
            sample.derivatives, np.tanh(sample.places @ kernel + bias), rtol=1e-9
        )
        assert sample.t == pytest.approx(0.5 * sample.step)
    assert json.loads(json.dumps(plain(found), allow_nan=False))["size"] == 2


def test_state_that_is_not_finite_is_refused():
    block = linear_block([[-1.0]], 1.0)
    with pytest.raises(ConfigError, match="where all states are finite"):
        block_trajectories(field_path(block, jnp.asarray([[jnp.inf], [1.0]])))


def test_determinants_of_many_numbers_are_not_taken():
    block = linear_block(-np.eye(33), 1.5)
    assert orientation(field_path(block, jnp.ones((2, 33)))) is None
