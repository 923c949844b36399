"""Every way in which an .npz file can be wrong, or an option not fit it."""

import pickle

import numpy as np
import pytest
from own_arrays import IMAGES, VECTORS, with_validation

from odenet.data.npz import NpzConfig
from odenet.errors import ConfigError, DataError


def changed(name, value, base=IMAGES):
    return base | {name: value}


def without(*names):
    return {name: array for name, array in IMAGES.items() if name not in names}


NAN = VECTORS["train_inputs"].copy()
NAN[7, 1] = np.nan
WRONG = {
    "missing array": (without("test_targets"), "missing: test_targets; it holds train_inputs"),
    "half of a split": (
        IMAGES | {"validation_inputs": IMAGES["test_inputs"]},
        "missing: validation_targets",
    ),
    "unknown array": (
        IMAGES | {"train_label": np.arange(3)},
        "'train_label', which .*train_labels",
    ),
    "objects": (changed("test_targets", np.array([{}] * 8)), "cannot be read: Object arrays"),
    "grey and coloured": (changed("train_inputs", IMAGES["train_inputs"][..., 0]), "like train_in"),
    "floats and bytes": (
        changed("train_inputs", IMAGES["train_inputs"] / 255),
        "like train_inputs",
    ),
    "byte vectors": (
        changed("train_inputs", np.zeros((40, 784), np.uint8)),
        r"may be images or vectors; for images set data.shape=\[28, 28\], for vectors write "
        r"train_inputs=train_inputs.astype\(np.float32\)",
    ),
    "booleans as images": (
        changed("train_inputs", IMAGES["train_inputs"] > 9),
        r"write train_inputs=train_inputs.astype\(np.uint8\) \* 255",
    ),
    "one row or a column": (
        changed("train_inputs", np.zeros((40, 7, 1), np.uint8)),
        r"write train_inputs=train_inputs\[..., None\]",
    ),
    "five axes": (changed("train_inputs", np.zeros((4, 4, 4, 4, 4))), r"got shape \(4, 4, 4, 4, 4"),
    "channels first": (
        changed("train_inputs", np.zeros((40, 3, 32, 32), np.uint8)),
        r"would be 3 high with 32 channels; set data.layout=channels_first .* 3 channels of 32 x "
        r"32, or write train_inputs=train_inputs.transpose\(0, 2, 3, 1\)",
    ),
    "floats of 0 to 255": (
        changed("train_inputs", IMAGES["train_inputs"].astype(np.float32)),
        r"in the range 0 to 1; .* write train_inputs=train_inputs.astype\(np.uint8\)",
    ),
    "normalised images": (
        changed("train_inputs", IMAGES["train_inputs"] / 127.5 - 1),
        r"write train_inputs=\(\(train_inputs - -1\) / 2\).astype\(np.float32\)",
    ),
    "12 bits": (
        changed("train_inputs", IMAGES["train_inputs"].astype(np.uint16) * 16),
        "whose full range is not known",
    ),
    "words": (
        changed("train_targets", np.array(["cat", "dog"] * 20)),
        r"write train_targets=np.unique\(train_targets, return_inverse=True\)\[1\]",
    ),
    "two names": (IMAGES | {"x_train": np.zeros(3)}, "two names for train_inputs; keep one"),
    "no test": (
        without("test_inputs", "test_targets"),
        r"keep some examples for the test, .* np.savez\('own.npz', train_inputs=train_inputs\[1000",
    ),
    "no examples": (
        changed("test_inputs", IMAGES["test_inputs"][:0]),
        "without an axis of length 0; got",
    ),
    "fewer targets": (changed("train_targets", np.arange(39) % 4), "each of the 40 inputs"),
    "one-hot": (
        changed("train_targets", np.eye(40, dtype=int)),
        r"=train_targets.argmax\(axis=1\)",
    ),
    "booleans": (changed("train_targets", np.zeros(40, bool)), r"got bool .*astype\(np.int64\)"),
    "negative class": (changed("test_targets", np.arange(8) - 1), "classes 0, 1, ...; got -1 to 6"),
    "huge class": (changed("test_targets", np.arange(8) + 2**40), "classes 0, 1, "),
    "classes from 1": (changed("train_targets", np.arange(40) % 4 + 1), "no example of class 0"),
    "sparse classes": (changed("train_targets", np.arange(40) * 10**7), "no example of class 1,"),
    "one class": (changed("train_targets", np.zeros(40, int)), "no example of class 1,"),
    "new class in test": (
        changed("test_targets", np.arange(8)),
        "test_targets .* classes, 4; got 7",
    ),
    "other shape": (changed("test_inputs", np.zeros((8, 5, 5, 3), np.uint8)), "like train_inputs"),
    "other kind": (
        changed("test_targets", np.zeros(8)),
        "test_targets .* like train_targets, int32",
    ),
    "not finite": (changed("train_inputs", NAN, VECTORS), "1 of 40 rows are not, the first is 7"),
    "too large": (
        changed("test_targets", np.full(8, 1e300), VECTORS),
        "finite in single precision",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("error")
def test_file_that_holds_something_else_is_refused(built, name):
    arrays, message = WRONG[name]
    with pytest.raises(DataError, match=message):
        built(arrays, validation=8)


OPTIONS = {
    "no validation": (IMAGES, {}, "data.validation is required"),
    "all validate": (IMAGES, {"validation": 40}, "must be less than 40"),
    "validation twice": (with_validation(IMAGES), {"validation": 3}, "validation would be ignored"),
    "seed of nothing": (with_validation(IMAGES), {"split_seed": 3}, "split_seed would be ignored"),
    "augmented vectors": (VECTORS, {"validation": 8, "augment": {}}, "augment needs images"),
    "classes of values": (VECTORS, {"validation": 8, "num_classes": 3}, "num_classes would be ign"),
    "numbers for channels": (
        IMAGES,
        {"validation": 8, "normalize": {"mean": [0.5], "std": [0.1]}},
        "normalize needs 3 numbers .* channels; got 1",
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_option_that_does_not_fit_the_file_is_refused(built, name):
    arrays, options, message = OPTIONS[name]
    with pytest.raises(ConfigError, match=message):
        built(arrays, **options)


def test_too_few_classes_are_refused(built):
    with pytest.raises(DataError, match="less than the number of classes, 3; got 3"):
        built(IMAGES, validation=8, num_classes=3)


@pytest.mark.parametrize(
    "content",
    [b"", b"no zip", pickle.dumps([1, 2]), b"PK\x03\x04 broken"],
    ids=["empty", "text", "pickle", "zip"],
)
def test_other_file_is_refused(tmp_path, content):
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"must be an .npz file .* cannot be read"):
        NpzConfig(path="own.npz", validation=1).build(tmp_path)


def test_single_array_and_missing_file_are_refused(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DataError, match=r"got one array; use numpy.savez"):
        NpzConfig(path="one.npy", validation=1).build(tmp_path)
    with pytest.raises(
        DataError, match=r"which does not exist; a relative path is looked up beside the experiment"
    ):
        NpzConfig(path="none.npz", validation=1).build(tmp_path)


def test_damaged_file_never_raises_anything_but_data_errors(tmp_path):
    path = tmp_path / "own.npz"
    np.savez_compressed(path, **VECTORS)
    good, rng = path.read_bytes(), np.random.default_rng(3)
    refused = 0
    for _ in range(300):
        damaged = bytearray(good)
        for place in rng.integers(len(good), size=3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            NpzConfig(path="own.npz", validation=8).build(tmp_path)
        except DataError:
            refused += 1
    assert refused > 200
