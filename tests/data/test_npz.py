"""A user's own data from an .npz file, and every way in which the file can be wrong."""

import pickle

import numpy as np
import pytest

from odenet.data.augment import normalize
from odenet.data.dataset import measure_normalization
from odenet.data.npz import NpzConfig
from odenet.errors import ConfigError, DataError
from odenet.experiment.config import load_config, parse_config, to_yaml
from odenet.experiment.evaluate import evaluate
from odenet.experiment.run import resume, run

RNG = np.random.default_rng(0)
IMAGES = {
    "train_inputs": RNG.integers(0, 256, (40, 4, 5, 3), np.uint8),
    "train_targets": np.arange(40) % 4,
    "test_inputs": RNG.integers(0, 256, (8, 4, 5, 3), np.uint8),
    "test_targets": np.arange(8) % 4,
}
VECTORS = {
    "train_inputs": RNG.normal(size=(40, 3)),
    "train_targets": RNG.normal(size=40),
    "test_inputs": RNG.normal(size=(8, 3)),
    "test_targets": RNG.normal(size=8),
}
VALIDATION = {"validation_inputs": "test_inputs", "validation_targets": "test_targets"}


def with_validation(arrays):
    return arrays | {name: arrays[like][:6] for name, like in VALIDATION.items()}


@pytest.fixture
def built(tmp_path):
    """Writes a file and builds a configuration that reads it."""

    def build(arrays, **options):
        np.savez(tmp_path / "own.npz", **arrays)
        return NpzConfig(path="own.npz", **options).build(tmp_path)

    return build


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


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


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


def experiment(path, overrides=()):
    values = {
        "name": "own",
        "data": {"kind": "npz", "path": str(path), "validation": 8},
        "model": {"kind": "classifier", "stages": [{"width": 4}], "block": {"num_steps": 1}},
        "training": {"num_steps": 2, "batch_size": 8, "log_every": 1, "checkpoint_every": 1},
    }
    return parse_config(values, overrides)


@pytest.mark.parametrize("normalize", [True, False, IMAGENET], ids=["measured", "none", "given"])
def test_config_survives_its_file_and_overrides(tmp_path, normalize):
    config = experiment("own.npz", [("data.normalize", normalize)])
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_config(tmp_path / "config.yaml") == config
    text = "data.normalize={mean: [0.5, 0.5, 0.5], std: [1, 1, 1]}"
    changed = load_config(tmp_path / "config.yaml", [text]).data
    assert changed.normalize.mean == (0.5, 0.5, 0.5)


def test_error_of_a_normalisation_says_the_rule(tmp_path):
    with pytest.raises(ConfigError, match="one number per channel; got 1 and 2"):
        experiment("own.npz", [("data.normalize", {"mean": [0.5], "std": [1.0, 1.0]})])


def test_run_is_trained_and_evaluated_from_wherever(tmp_path, monkeypatch):
    monkeypatch.delenv("ODENET_DATA_DIR", raising=False)  # or else it names the folder
    np.savez(tmp_path / "own.npz", **IMAGES)
    trained = run(experiment("own.npz"), tmp_path / "run", data_dir=tmp_path)
    monkeypatch.chdir("/")
    assert evaluate(tmp_path / "run")["loss"] == trained.results["test"]["loss"]
    (tmp_path / "run" / "results.json").unlink()
    assert resume(tmp_path / "run").results["test"] == trained.results["test"]


def each_input(change, base=IMAGES):
    return {name: change(a) if "inputs" in name else a for name, a in base.items()}


PIXELS = IMAGES["test_inputs"]
SAME = {
    "grey": (lambda x: x[..., 0], {}, PIXELS[..., :1]),
    "flat": (lambda x: x.reshape(len(x), -1), {"shape": [4, 5, 3]}, PIXELS),
    "flat grey": (lambda x: x[..., 0].reshape(len(x), -1), {"shape": [4, 5]}, PIXELS[..., :1]),
    "whole numbers": (lambda x: x.astype(np.int64), {}, PIXELS),
    "channels first": (lambda x: x.transpose(0, 3, 1, 2), {"layout": "channels_first"}, PIXELS),
    "flat channels first": (
        lambda x: x.transpose(0, 3, 1, 2).reshape(len(x), -1),
        {"shape": [3, 4, 5], "layout": "channels_first"},
        PIXELS,
    ),
    "from 0 to 1": (lambda x: (x / 255).astype(np.float32), {}, np.float32(PIXELS / 255)),
    "16 bits": (lambda x: x.astype(np.uint16) * 257, {}, np.float32(PIXELS / 255)),
    "as told": (
        lambda x: x.transpose(0, 3, 1, 2),
        {"layout": "channels_last"},
        PIXELS.transpose(0, 3, 1, 2),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_images_as_people_have_them_are_the_same_images(built, name):
    change, options, expected = SAME[name]
    data = built(each_input(change), validation=8, **options)
    assert data.test.inputs.dtype == expected.dtype
    np.testing.assert_allclose(data.test.inputs, expected, rtol=1e-6)
    normalised = normalize(data.test.inputs, data.normalization)
    pixels = normalize(expected, measure_normalization(data.train.inputs))
    np.testing.assert_allclose(normalised, pixels, atol=1e-5)


def test_floats_from_0_to_1_are_normalised_as_the_bytes_are(built):
    of_bytes = built(IMAGES, validation=8)
    of_floats = built(each_input(lambda x: x / 255), validation=8)
    np.testing.assert_allclose(
        normalize(of_floats.test.inputs, of_floats.normalization),
        normalize(of_bytes.test.inputs, of_bytes.normalization),
        atol=1e-5,
    )


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


FLAT = each_input(lambda x: x.reshape(len(x), -1))
SHAPES = {
    "other size": (FLAT, {"shape": [4, 5]}, "rows of 20 numbers; train_inputs .* 60"),
    "images already": (IMAGES, {"shape": [4, 5, 3]}, "rows of 60 numbers; train_inputs"),
    "layout of vectors": (VECTORS, {"layout": "channels_first"}, "are vectors, of shape"),
    "layout of grey": (
        each_input(lambda x: x[..., 0]),
        {"layout": "channels_last"},
        "layout would be ignored: .* grey",
    ),
    "layout of grey rows": (
        FLAT,
        {"shape": [6, 10], "layout": "channels_first"},
        "layout would be ignored: data.shape=",
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shape_and_layout_that_do_not_fit_are_refused(built, name):
    arrays, options, message = SHAPES[name]
    with pytest.raises(ConfigError, match=message):
        built(arrays, validation=8, **options)


def test_relative_path_is_looked_for_beside_the_experiment_file_first(tmp_path, monkeypatch):
    monkeypatch.delenv("ODENET_DATA_DIR", raising=False)
    beside, folder = tmp_path / "beside", tmp_path / "folder"
    for place, cut in ((beside, slice(4, None)), (folder, slice(None))):
        place.mkdir()
        np.savez(place / "own.npz", **IMAGES | {n: IMAGES[n][cut] for n in IMAGES if "train" in n})
    (beside / "own.yaml").write_text(to_yaml(experiment("own.npz")))
    config = load_config(beside / "own.yaml")
    trained = run(config, tmp_path / "run", data_dir=folder)
    assert len(trained.experiment.dataset.train) == 28
    monkeypatch.chdir("/")
    assert evaluate(tmp_path / "run")["loss"] == trained.results["test"]["loss"]
    (beside / "own.npz").unlink()
    other = load_config(beside / "own.yaml")
    assert len(other.data.build(folder).train) == 32
    monkeypatch.chdir(beside)
    np.savez("own.npz", **IMAGES)
    assert load_config("own.yaml").data.path == str(beside / "own.npz")
