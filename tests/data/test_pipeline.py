import json
import subprocess
import sys
import time

import numpy as np
import pytest

from odenet.data.dataset import Split
from odenet.data.pipeline import TrainingBatches, evaluation_batches, is_small
from odenet.errors import DataError


def numbered(n):
    """Examples that carry their own number."""
    numbers = np.arange(n)
    return Split(numbers[:, None].astype(np.float32), numbers.astype(np.int32))


def take(batches, count):
    """Examples of the next `count` elements, shape `(count * steps, batch)`."""
    elements = [next(batches) for _ in range(count)]
    key = "indices" if batches.resident else "targets"
    return np.concatenate([element[key] for element in elements])


def test_every_epoch_is_a_new_permutation_without_its_last_partial_batch():
    with TrainingBatches(numbered(23), 5, 4, seed=3, resident=True) as batches:
        assert batches.steps_per_epoch == 4
        epochs = [next(batches)["indices"] for _ in range(50)]
    assert all(epoch.dtype == np.int32 and epoch.shape == (4, 5) for epoch in epochs)
    assert all(len(np.unique(epoch)) == 20 for epoch in epochs)
    left_out = [set(range(23)) - set(epoch.ravel().tolist()) for epoch in epochs]
    assert set().union(*left_out) == set(range(23))
    assert len({epoch.tobytes() for epoch in epochs}) == 50


def test_order_is_philox_of_seed_and_epoch():
    with TrainingBatches(numbered(12), 3, 1, seed=7, resident=True) as batches:
        steps = take(batches, 8)
    for epoch in range(2):
        bits = np.random.Philox(key=np.array([7, epoch], dtype=np.uint64))
        expected = np.random.Generator(bits).permutation(12).reshape(4, 3)
        np.testing.assert_array_equal(steps[4 * epoch : 4 * epoch + 4], expected)


@pytest.mark.parametrize("steps", [1, 3, 11])
def test_streamed_examples_are_the_resident_indices_for_any_number_of_steps(steps):
    split = numbered(17)
    with (
        TrainingBatches(split, 4, 1, seed=1, resident=True) as single,
        TrainingBatches(split, 4, steps, seed=1, resident=True) as resident,
        TrainingBatches(split, 4, steps, seed=1, resident=False) as streamed,
    ):
        expected = take(single, 5 * steps)
        np.testing.assert_array_equal(take(resident, 5), expected)
        for dispatch in range(5):
            element = next(streamed)
            run = expected[dispatch * steps : (dispatch + 1) * steps]
            np.testing.assert_array_equal(element["targets"], run)
            np.testing.assert_array_equal(element["inputs"], run[..., None])


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("consumed", range(8))
def test_restored_batches_equal_uninterrupted_ones(consumed, resident):
    # Four steps an epoch, three a dispatch: positions lie on both sides of several ends of epochs.
    arguments = {"batch_size": 4, "steps": 3, "seed": 5, "resident": resident}
    with TrainingBatches(numbered(17), **arguments) as batches:
        expected = take(batches, 12)
    with TrainingBatches(numbered(17), **arguments) as batches:
        for _ in range(consumed):
            next(batches)
        saved = json.dumps(batches.state())
    with TrainingBatches(numbered(17), **arguments) as batches:
        take(batches, 2)
        batches.restore(json.loads(saved))
        assert batches.step == 3 * consumed
        np.testing.assert_array_equal(take(batches, 4), expected[3 * consumed : 3 * consumed + 12])
        assert batches.step == 3 * consumed + 12


def test_position_can_be_restored_to_another_number_of_steps():
    with TrainingBatches(numbered(17), 4, 2, seed=5, resident=True) as batches:
        expected = take(batches, 10)
        batches.restore({**batches.state(), "step": 0})
        take(batches, 3)
        saved = batches.state()
    with TrainingBatches(numbered(17), 4, 7, seed=5, resident=True) as batches:
        batches.restore(saved)
        np.testing.assert_array_equal(take(batches, 2), expected[6:20])


@pytest.mark.parametrize(
    "change", [{"seed": 6}, {"batch_size": 3}, {"num_examples": 18}, {"step": -1}, {"step": None}]
)
def test_position_of_another_run_raises(change):
    with TrainingBatches(numbered(17), 4, 2, seed=5, resident=True) as batches:
        with pytest.raises(DataError, match="must have the same data"):
            batches.restore({**batches.state(), **change})
        assert take(batches, 1).shape == (2, 4)


@pytest.mark.parametrize("arguments", [(18, 1, 0), (0, 1, 0), (4, 0, 0), (4, 1, -1), (4, 1, 2**64)])
def test_numbers_out_of_range_raise(arguments):
    with pytest.raises(DataError):
        TrainingBatches(numbered(17), *arguments, resident=True)


def test_resident_dispatch_costs_less_than_a_millisecond():
    with TrainingBatches(numbered(50_000), 128, 10, seed=0, resident=True) as batches:
        next(batches)
        times = []
        for _ in range(200):
            start = time.perf_counter()
            next(batches)
            times.append(time.perf_counter() - start)
    assert np.median(times) < 1e-3


@pytest.mark.parametrize("ending", ["batches.close()", ""])
def test_interpreter_exits_quietly_with_threads_at_work(ending):
    program = f"""
import numpy as np
from odenet.data.dataset import Split
from odenet.data.pipeline import TrainingBatches
split = Split(np.zeros((1000, 32, 32, 3), np.uint8), np.zeros(1000, np.int32))
batches = TrainingBatches(split, 100, 5, 0, False)
next(batches)
{ending}
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize(("n", "batch_size", "num_batches"), [(10, 4, 3), (8, 4, 2), (3, 5, 1)])
def test_evaluation_batches_hold_each_example_once_by_weight(n, batch_size, num_batches):
    batch = evaluation_batches(numbered(n), batch_size)
    assert batch.inputs.shape == (num_batches, batch_size, 1)
    assert batch.weights.shape == batch.targets.shape == (num_batches, batch_size)
    assert batch.weights.dtype == np.float32
    assert batch.weights.sum() == n
    np.testing.assert_array_equal(batch.targets[batch.weights == 1], np.arange(n))
    np.testing.assert_array_equal(batch.targets[batch.weights == 0], 0)
    np.testing.assert_array_equal(batch.inputs[..., 0], batch.targets)


def test_evaluation_batches_of_no_examples_raise():
    with pytest.raises(DataError, match="at least one"):
        evaluation_batches(numbered(3), 0)


def test_split_is_small_up_to_its_bytes():
    split = numbered(100)
    assert is_small(split, 800)
    assert not is_small(split, 799)
