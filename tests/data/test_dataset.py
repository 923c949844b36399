import numpy as np
import pytest

from odenet.data.dataset import Split, measure_normalization
from odenet.data.stratified import stratified_order
from odenet.errors import DataError


def test_split_cannot_be_changed_and_leaves_the_callers_array_alone():
    inputs = np.zeros((3, 2), np.float32)
    split = Split(inputs, np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="read-only"):
        split.inputs[0, 0] = 1.0
    inputs[0, 0] = 1.0
    assert len(split) == 3


@pytest.mark.parametrize(("num_inputs", "num_targets"), [(2, 3), (0, 0)])
def test_split_of_unequal_lengths_or_none_raises(num_inputs, num_targets):
    with pytest.raises(DataError, match="one target for each"):
        Split(np.zeros((num_inputs, 2), np.float32), np.zeros(num_targets, np.int32))


def test_normalization_of_pixels_equals_moments_of_floats():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50, 6, 5, 3)).astype(np.uint8) // np.array([1, 2, 3], np.uint8)
    floats = images.astype(np.float64) / 255
    mean, std = measure_normalization(images)
    np.testing.assert_allclose(mean, floats.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(std, floats.std(axis=(0, 1, 2)), rtol=1e-6)
    assert mean.dtype == std.dtype == np.float32


def test_normalization_of_a_constant_feature_has_standard_deviation_one():
    vectors = np.array([[1.0, 5.0], [3.0, 5.0]], np.float32)
    mean, std = measure_normalization(vectors)
    np.testing.assert_array_equal(mean, [2.0, 5.0])
    np.testing.assert_array_equal(std, [1.0, 1.0])


def test_stratified_order_holds_classes_in_proportion_in_every_prefix():
    labels = np.repeat(np.arange(4), [10, 30, 60, 400])
    order = stratified_order(labels, 7)
    np.testing.assert_array_equal(np.sort(order), np.arange(500))
    counts = np.cumsum(labels[order][:, None] == np.arange(4), axis=0)
    shares = np.arange(1, 501)[:, None] * np.array([10, 30, 60, 400]) / 500
    assert np.abs(counts - shares).max() <= 3.0
    assert not np.array_equal(order, stratified_order(labels, 8))
    np.testing.assert_array_equal(order, stratified_order(labels, 7))
