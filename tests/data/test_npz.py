"""A user's own data from an .npz file."""

import numpy as np
import pytest
from own_arrays import IMAGENET, IMAGES, VECTORS, with_validation

from odenet.data.npz import NpzConfig
from odenet.errors import ConfigError


def test_images_come_back_as_written_and_validate_in_proportion(built):
    data = built(IMAGES, validation=8, num_classes=7)
    assert data.input_shape == (4, 5, 3)
    assert data.num_classes == data.num_outputs == 7
    np.testing.assert_array_equal(data.test.inputs, IMAGES["test_inputs"])
    np.testing.assert_array_equal(data.test.targets, IMAGES["test_targets"])
    assert data.test.targets.dtype == np.int32
    np.testing.assert_array_equal(np.bincount(data.validation.targets), [2, 2, 2, 2])
    both = np.concatenate([data.train.inputs, data.validation.inputs]).reshape(40, -1)
    whole = IMAGES["train_inputs"].reshape(40, -1)
    assert sorted(map(bytes, both)) == sorted(map(bytes, whole))
    pixels = data.train.inputs / 255.0
    np.testing.assert_allclose(data.normalization.mean, pixels.mean((0, 1, 2)), rtol=1e-6)
    other = built(IMAGES, validation=8, split_seed=1).validation
    assert not np.array_equal(other.inputs, data.validation.inputs)


def test_vectors_with_values_are_a_regression(built):
    data = built(VECTORS, validation=8)
    assert data.num_classes is None
    assert data.num_outputs == 1
    assert data.train.targets.shape == (32, 1)
    assert data.train.inputs.dtype == data.train.targets.dtype == np.float32
    np.testing.assert_allclose(data.test.inputs, VECTORS["test_inputs"], rtol=1e-6)


def test_validation_in_the_file_is_taken_as_it_is(built):
    data = built(with_validation(IMAGES))
    assert (len(data.train), len(data.validation), len(data.test)) == (40, 6, 8)
    assert data.num_classes == 4


@pytest.mark.parametrize(
    ("inputs", "targets"), [("x_{}", "y_{}"), ("X_{}", "y_{}"), ("{}_images", "{}_labels")]
)
def test_other_names_of_the_arrays(built, inputs, targets):
    part = {"train": "train", "test": "test", "validation": "val"}
    names = {"inputs": inputs, "targets": targets}
    arrays = {
        names[what].format(part[name]): array
        for key, array in with_validation(IMAGES).items()
        for name, what in [key.split("_")]
    }
    data, expected = built(arrays), built(with_validation(IMAGES))
    for split in ("train", "validation", "test"):
        for what in ("inputs", "targets"):
            found = getattr(getattr(data, split), what)
            np.testing.assert_array_equal(found, getattr(getattr(expected, split), what))


def test_classes_may_be_a_column(built):
    arrays = {n: a[:, None] if "targets" in n else a for n, a in IMAGES.items()}
    data = built(arrays, validation=8)
    np.testing.assert_array_equal(data.test.targets, IMAGES["test_targets"])
    assert data.num_classes == 4


def test_given_normalisation_is_used_as_it_is(built):
    found = built(IMAGES, validation=8, normalize=IMAGENET).normalization
    np.testing.assert_array_equal(found.mean, np.array(IMAGENET["mean"], np.float32))
    np.testing.assert_array_equal(found.std, np.array(IMAGENET["std"], np.float32))


@pytest.mark.parametrize(
    "normalize",
    [
        {"mean": [0.5], "std": [0.0]},
        {"mean": [0.5], "std": [-1.0]},
        {"mean": [0.5, 0.5], "std": [1.0]},
        {"mean": [float("nan")], "std": [1.0]},
        {"mean": [], "std": []},
        {"mean": [0.5]},
        {"mean": [0.5], "std": [1.0], "variance": [1.0]},
        "sometimes",
    ],
    ids=str,
)
def test_numbers_that_normalise_nothing_are_refused(normalize):
    with pytest.raises(ConfigError):
        NpzConfig(path="own.npz", normalize=normalize)
