import numpy as np
import pytest
from sklearn.datasets import load_digits

from odenet.data.digits import DigitsConfig
from odenet.errors import ConfigError


def test_digits_are_every_published_image_once():
    data = DigitsConfig().build(None)
    splits = (data.train, data.validation, data.test)
    assert [len(split) for split in splits] == [1257, 180, 360]
    assert data.input_shape == (8, 8, 1)
    published = load_digits()
    ours = np.concatenate([split.inputs for split in splits]).reshape(1797, 64)
    labels = np.concatenate([split.targets for split in splits])
    # Back from the range 0..255 to the published 0..16.
    rows = np.column_stack([np.rint(ours / 255 * 16), labels])
    theirs = np.column_stack([published.data, published.target])
    np.testing.assert_array_equal(
        rows[np.lexsort(rows.T)].astype(int), theirs[np.lexsort(theirs.T)].astype(int)
    )


def test_digits_splits_hold_classes_in_proportion_and_follow_the_seed():
    data = DigitsConfig().build(None)
    total = np.bincount(load_digits().target)
    for split in (data.train, data.validation, data.test):
        share = total * len(split) / 1797
        assert np.abs(np.bincount(split.targets) - share).max() <= 2.0
    np.testing.assert_array_equal(DigitsConfig().build(None).test.inputs, data.test.inputs)
    other = DigitsConfig(split_seed=1).build(None)
    assert not np.array_equal(other.test.inputs, data.test.inputs)


def test_digits_normalization_is_of_the_training_part_and_optional():
    data = DigitsConfig().build(None)
    floats = data.train.inputs / 255.0
    np.testing.assert_allclose(data.normalization.mean, [floats.mean()], rtol=1e-5)
    np.testing.assert_allclose(data.normalization.std, [floats.std()], rtol=1e-5)
    plain = DigitsConfig(normalize=False).build(None).normalization
    np.testing.assert_array_equal(plain.mean, [0.0])
    np.testing.assert_array_equal(plain.std, [1.0])


def test_digits_without_training_images_raise():
    with pytest.raises(ConfigError, match="must be less than 1797"):
        DigitsConfig(validation=1000, test=797)
