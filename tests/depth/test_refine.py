import jax
import numpy as np
import pytest
from flax import nnx

from odenet.depth.basis import Basis, projection_matrix
from odenet.depth.refine import (
    Transfer,
    interpolated,
    overlapping,
    refined_taus,
)
from odenet.depth.step_sizes import LearnedStepSizesConfig
from odenet.depth.step_sizes.learned import step_size_transfer

WEIGHTS = np.random.default_rng(0).normal(size=(4, 2, 3))


def test_copies_are_averaged_back():
    fine = Transfer(overlapping(4, 12)).values(WEIGHTS)
    np.testing.assert_array_equal(fine, np.repeat(WEIGHTS, 3, axis=0))
    np.testing.assert_allclose(Transfer(overlapping(12, 4)).values(fine), WEIGHTS, rtol=1e-14)


def test_new_layers_lie_on_the_line_to_the_next_one():
    fine = Transfer(interpolated(4, 8)).values(WEIGHTS)
    np.testing.assert_allclose(fine[::2], WEIGHTS)
    np.testing.assert_allclose(fine[1::2][:-1], (WEIGHTS[:-1] + WEIGHTS[1:]) / 2)
    np.testing.assert_allclose(fine[-1], WEIGHTS[-1])


def test_moments_are_those_of_the_gradients_of_the_copies():
    # A loss that sees the mean of the copies has, for each copy, its part of the gradient.
    target = np.random.default_rng(1).normal(size=(4, 2, 3))

    def loss(fine):
        return ((fine.reshape(4, 3, 2, 3).mean(axis=1) - target) ** 2).sum()

    coarse = jax.jit(jax.grad(lambda w: ((w - target) ** 2).sum()))(WEIGHTS)
    fine = jax.jit(jax.grad(loss))(np.repeat(WEIGHTS, 3, axis=0))
    transfer = Transfer(overlapping(4, 12), overlapping(12, 4))
    np.testing.assert_allclose(transfer.gradients(np.asarray(coarse)), fine, rtol=1e-12)
    np.testing.assert_allclose(transfer.squares(np.asarray(coarse) ** 2), fine**2, rtol=1e-12)
    back = Transfer(overlapping(12, 4), overlapping(4, 12))
    np.testing.assert_allclose(back.gradients(np.asarray(fine)), coarse, rtol=1e-12)
    np.testing.assert_allclose(back.squares(np.asarray(fine) ** 2), coarse**2, rtol=1e-12)


def test_step_sizes_are_divided_and_added_up():
    taus = np.array([0.4, -0.2, 1.0, 0.6])
    np.testing.assert_allclose(refined_taus(taus, 8), np.repeat(taus, 2) / 2)
    np.testing.assert_allclose(refined_taus(taus, 2), [0.2, 1.6])


def test_any_grid_shares_the_depth_of_the_old_one():
    taus = np.array([0.4, -0.2, 1.0, 0.6])
    old = np.concatenate([[0], np.cumsum(taus)])
    for new in (1, 3, 5, 6, 7):
        # Time is a function of depth counted in layers, linear within each.
        expected = np.diff(np.interp(np.arange(new + 1) * 4 / new, np.arange(5), old))
        np.testing.assert_allclose(refined_taus(taus, new), expected, atol=1e-15)
        s = (np.arange(70000) + 0.5) / 70000
        cells = np.floor(s * new).astype(int)
        means = [WEIGHTS[np.floor(s * 4).astype(int)][cells == k].mean(axis=0) for k in range(new)]
        found = Transfer(overlapping(4, new)).values(WEIGHTS)
        np.testing.assert_allclose(found, means, atol=1e-4)
        there = np.interp(np.arange(new) * 4 / new, np.arange(4), WEIGHTS[:, 0, 0])
        found = Transfer(interpolated(4, new)).values(WEIGHTS)
        np.testing.assert_allclose(found[:, 0, 0], there, atol=1e-14)


LEARNED = [
    {"parametrisation": "free"},
    {"parametrisation": "positive"},
    {"parametrisation": "simplex"},
    {"parametrisation": "remainder"},
    {"parametrisation": "free", "sharing": "shared"},
    {"parametrisation": "positive", "sharing": "shared"},
]


def refinements():
    """Every parametrisation at a ratio that is no integer; one of them at every ratio."""
    for options in LEARNED:
        for new in (8, 2, 3, 6):
            in_turn = new == 3 or options == {"parametrisation": "simplex"}
            marks = () if in_turn else pytest.mark.product
            yield pytest.param(
                options, new, marks=marks, id="_".join([*options.values(), str(new)])
            )


@pytest.mark.parametrize(("options", "new"), [*refinements()])
def test_parameters_of_step_sizes_and_their_moments_follow(options, new):
    config = LearnedStepSizesConfig(horizon=2.0, **options)
    sizes, there = config.build(4), config.build(new)
    graphdef, params = nnx.split(there)

    @jax.jit
    def taus(raw, direction):
        return jax.jvp(
            lambda raw: nnx.merge(graphdef, jax.tree.map(lambda _: raw, params)).taus(),
            (raw,),
            (direction,),
        )

    start = 0.5 + 0.1 * np.random.default_rng(2).normal(size=sizes.raw.shape)
    change = 1e-5 * np.random.default_rng(3).normal(size=start.shape)
    raws = []
    for value in (start + change, start - change, start):
        sizes.raw = nnx.Param(jax.numpy.asarray(value))
        raw, transfer = step_size_transfer(sizes, new)
        raws.append(np.asarray(raw, float))
    ahead, behind, here = raws
    step = np.reshape(transfer.matrix @ np.atleast_1d(change), np.shape(here))
    values, found = taus(here, step)
    np.testing.assert_allclose(values, refined_taus(np.asarray(sizes.taus()), new), rtol=1e-6)
    # The matrix is the derivative of the new parameters by the old ones.
    expected = (np.asarray(taus(ahead, step)[0]) - np.asarray(taus(behind, step)[0])) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize(("old", "new"), [(6, 4), (4, 6), (3, 5), (5, 2)])
def test_gradients_of_polynomials_follow_the_chain_rule(old, new):
    # A loss of the function itself has gradients by the coefficients of any basis of it.
    few = min(old, new)
    bases = [Basis("chebyshev", size) for size in (old, new)]
    s = np.linspace(0, 1, 50)
    target = np.random.default_rng(0).normal(size=(50, 3))
    theta = np.zeros((old, 3))
    theta[:few] = np.random.default_rng(1).normal(size=(few, 3))
    moves = Transfer(projection_matrix(*bases), projection_matrix(*bases[::-1]))

    def gradient(basis, coefficients):
        values = basis(s, np)
        return jax.jit(jax.grad(lambda c: ((values.T @ c - target) ** 2).sum()))(coefficients)

    there = gradient(bases[1], moves.values(theta))
    here = np.asarray(gradient(bases[0], theta))
    np.testing.assert_allclose(moves.gradients(here)[:few], there[:few], rtol=1e-9, atol=1e-9)
