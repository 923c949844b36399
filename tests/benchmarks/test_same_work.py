"""Both sides of a comparison compute the same, from the same weights, in double precision."""

import numpy as np
import pytest

from benchmarks import weights
from benchmarks.agreement import check_agreement
from benchmarks.cases import load
from benchmarks.layouts import from_torch, to_torch
from benchmarks.side_by_side import side_by_side

AGAINST_TORCH = ["euler_mlp", "spiral", "resnet20", "odenet_mnist"]


def agreement(name):
    with side_by_side(load(name)) as each:
        return check_agreement(load(name), each)


@pytest.mark.slow
@pytest.mark.parametrize("name", AGAINST_TORCH)
def test_outputs_gradients_and_updates_agree_with_torch(name):
    pytest.importorskip("torchdiffeq")
    assert set(agreement(name)) == {"outputs", "gradients", "updated"}


@pytest.mark.slow
def test_outputs_gradients_and_updates_agree_with_diffrax():
    assert set(agreement("fixed_step")) == {"outputs", "gradients", "updated"}


@pytest.mark.parametrize(
    "made",
    [weights.resnet20(True), weights.odenet_mnist(True), weights.euler_mlp(2, 3, True)],
    ids=["resnet20", "odenet_mnist", "euler_mlp"],
)
def test_layouts_there_and_back_are_the_identity(made):
    back = from_torch(to_torch(made), made)
    assert set(back) == set(made)
    for name, array in made.items():
        np.testing.assert_array_equal(back[name], array)


def test_time_is_the_first_input_channel_in_torch():
    made = weights.odenet_mnist(True)
    whole = to_torch(made)["field.conv1.weight"]
    assert whole.shape == (64, 65, 3, 3)
    np.testing.assert_array_equal(whole[:, 0], made["field.conv1.time"][:, :, 0].transpose(2, 0, 1))


def test_weights_are_the_same_at_every_call_and_in_both_precisions():
    single, double = weights.resnet20(False), weights.resnet20(True)
    for name, array in single.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, double[name].astype(np.float32))


def test_targets_of_the_spiral_solve_its_equation():
    start, ts, targets = weights.spiral_batch(5, 10, True)
    np.testing.assert_array_equal(targets[0], start)
    # Second-order differences of the orbit against dy/dt = A^T y^3.
    slope = (targets[2:] - targets[:-2]) / (ts[2] - ts[0])
    field = (targets[1:-1] ** 3) @ np.array([[-0.1, 2.0], [-2.0, -0.1]])
    assert np.abs(slope - field).max() < 2e-2 * np.abs(field).max()
