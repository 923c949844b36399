"""Parametrisations of step sizes: there and back, derivatives, and what stays after pruning."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.depth.step_sizes.parametrisation import PARAMETRISATIONS, ParametrisationName

HORIZON = 2.0
CASES = [(name, shared) for name in PARAMETRISATIONS for shared in (False, True)]
CASES = [
    (name, shared) for name, shared in CASES if not (shared and PARAMETRISATIONS[name].keeps_sum)
]
each_case = pytest.mark.parametrize(("name", "shared"), CASES)


def made(name, shared=False, num_steps=5):
    return PARAMETRISATIONS[name](num_steps, HORIZON, shared)


def raw_of(parametrisation, seed=0):
    return np.random.default_rng(seed).normal(size=parametrisation.shape)


def test_every_name_has_a_parametrisation():
    assert set(get_args(ParametrisationName)) == set(PARAMETRISATIONS)


@each_case
def test_inverse_leads_back_to_the_same_step_sizes(name, shared):
    made_of = made(name, shared)
    taus = np.asarray(made_of.forward(jnp.asarray(raw_of(made_of))))
    raw = made_of.inverse(taus)
    assert raw.shape == made_of.shape
    np.testing.assert_allclose(made_of.forward(jnp.asarray(raw)), taus, rtol=1e-12)


@each_case
def test_jacobian_equals_finite_differences(name, shared):
    made_of = made(name, shared)
    raw, eps = raw_of(made_of), 1e-6
    changes = eps * np.eye(raw.size).reshape(raw.size, *raw.shape)
    forward = jax.jit(jax.vmap(made_of.forward))
    columns = (np.asarray(forward(raw + changes)) - np.asarray(forward(raw - changes))) / (2 * eps)
    np.testing.assert_allclose(made_of.jacobian(raw), columns.T, atol=1e-9)


@each_case
def test_start_gives_equal_parts_of_the_horizon(name, shared):
    made_of = made(name, shared)
    taus = made_of.forward(jnp.full(made_of.shape, made_of.start))
    np.testing.assert_allclose(taus, HORIZON / 5, rtol=1e-12)


@pytest.mark.parametrize("name", PARAMETRISATIONS)
@pytest.mark.parametrize("kept", [[0, 2, 3], [1, 4], [0, 1, 2, 3]])
def test_step_sizes_that_stay_are_what_they_were(name, kept):
    whole = made(name)
    raw = raw_of(whole, seed=1)
    taus = np.asarray(whole.forward(jnp.asarray(raw)))[kept]
    horizon = float(taus.sum()) if whole.keeps_sum else HORIZON
    rest = PARAMETRISATIONS[name](len(kept), horizon)
    found = rest.forward(jnp.asarray(whole.pruned(raw, np.array(kept))))
    np.testing.assert_allclose(found, taus, rtol=1e-12, atol=1e-15)
