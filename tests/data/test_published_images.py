import functools
import gzip
import hashlib
import os
import pickle
import shutil
import struct

import numpy as np
import pytest

from odenet.data.cifar import parse_batch, read_batches
from odenet.data.files import PUBLISHED, PublishedFile, PublishedSet, check, find_data_dir
from odenet.data.idx import parse_idx, read_idx_pair
from odenet.data.images import CIFAR10Config, FashionMNISTConfig, MNISTConfig
from odenet.errors import DataError

COUNTS = {
    "mnist": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "fashion_mnist": [6000] * 10,
}
MOMENTS = {"mnist": (0.1307, 0.3081), "fashion_mnist": (0.2860, 0.3530)}


@functools.cache
def whole(kind, folder):
    config = {"mnist": MNISTConfig, "fashion_mnist": FashionMNISTConfig}[kind]
    return config(validation=1).build(folder)


@pytest.mark.parametrize("kind", ["mnist", "fashion_mnist"])
def test_idx_sets_have_the_published_size_and_classes(kind, published_dir):
    data = whole(kind, published_dir)
    assert data.input_shape == (28, 28, 1)
    assert [len(data.train), len(data.validation), len(data.test)] == [59_999, 1, 10_000]
    labels = np.concatenate([data.train.targets, data.validation.targets])
    np.testing.assert_array_equal(np.bincount(labels), COUNTS[kind])
    assert data.train.inputs.dtype == np.uint8
    assert data.train.targets.dtype == np.int32
    assert data.num_classes == 10


@pytest.mark.parametrize("kind", ["mnist", "fashion_mnist"])
def test_idx_sets_have_the_known_moments(kind, published_dir):
    mean, std = whole(kind, published_dir).normalization
    np.testing.assert_allclose([mean[0], std[0]], MOMENTS[kind], atol=5e-5)


def test_first_mnist_labels_are_those_of_the_web_page(published_dir):
    data = MNISTConfig(limit_train=10, limit_test=5, validation=1).build(published_dir)
    both = np.concatenate([data.train.targets, data.validation.targets])
    assert sorted(both.tolist()) == sorted([5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
    np.testing.assert_array_equal(data.test.targets, [7, 2, 1, 0, 4])


def test_validation_is_taken_from_the_training_images_in_proportion(published_dir):
    config = FashionMNISTConfig(limit_train=6000, limit_test=100, validation=1000)
    data = config.build(published_dir)
    assert [len(data.train), len(data.validation), len(data.test)] == [5000, 1000, 100]
    first = read_idx_pair(
        "fashion_mnist", published_dir / "fashion-mnist", PUBLISHED["fashion_mnist"], "train", 6000
    )
    together = np.concatenate([data.train.inputs, data.validation.inputs]).reshape(6000, -1)
    published = first[0].reshape(6000, -1)
    np.testing.assert_array_equal(
        np.sort(together.view("S784").ravel()), np.sort(published.copy().view("S784").ravel())
    )
    share = np.bincount(first[1]) / 6
    assert np.abs(np.bincount(data.validation.targets) - share).max() <= 2
    other = config.model_copy(update={"split_seed": 1}).build(published_dir)
    assert not np.array_equal(other.validation.targets, data.validation.targets)


def test_cifar_needs_only_the_batches_that_hold_the_limit(published_dir, tmp_path):
    folder = tmp_path / "cifar-10" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in ("data_batch_1", "test_batch"):
        (folder / name).symlink_to(published_dir / "cifar-10" / "cifar-10-batches-py" / name)
    data = CIFAR10Config(limit_train=10_000, validation=1000).build(tmp_path)
    assert data.input_shape == (32, 32, 3)
    assert [len(data.train), len(data.validation), len(data.test)] == [9000, 1000, 10_000]
    np.testing.assert_array_equal(np.bincount(data.test.targets), [1000] * 10)
    # Moments of all 50,000 images, as everybody quotes them; one batch comes close.
    np.testing.assert_allclose(data.normalization.mean, [0.4914, 0.4822, 0.4465], atol=0.005)
    np.testing.assert_allclose(data.normalization.std, [0.2470, 0.2435, 0.2616], atol=0.005)
    with pytest.raises(
        DataError,
        match=r"data_batch_2, which is missing.*odenet data fetch.*data.limit_train=10000",
    ):
        CIFAR10Config(limit_train=10_001).build(tmp_path)


def test_cifar_planes_become_channels():
    rows = np.arange(2 * 3072).reshape(2, 3072) % 251
    content = pickle.dumps({b"data": rows.astype(np.uint8), b"labels": [3, 9]})
    images, labels = parse_batch(content, find_data_dir())
    for n, row, column, channel in [(0, 0, 0, 0), (0, 5, 7, 1), (1, 31, 30, 2)]:
        assert images[n, row, column, channel] == rows[n, channel * 1024 + row * 32 + column]
    np.testing.assert_array_equal(labels, [3, 9])


def test_files_are_as_published(published_dir):
    for name in ("mnist", "fashion_mnist"):
        assert [status.state for status in check(name, published_dir)] == ["ok"] * 4


def test_check_tells_missing_from_damaged(tmp_path):
    path = tmp_path / "mnist" / "train-labels-idx1-ubyte.gz"
    path.parent.mkdir()
    path.write_bytes(b"")
    found = {status.path.name: status for status in check("mnist", tmp_path)}
    assert found[path.name].state == "damaged"
    # The digest of no bytes at all.
    assert found[path.name].found_md5 == "d41d8cd98f00b204e9800998ecf8427e"
    assert found[path.name].expected_md5 == "d53e105ee54ea40749a09fcbcd1e9432"
    assert found["t10k-labels-idx1-ubyte.gz"].state == "missing"
    assert found["t10k-labels-idx1-ubyte.gz"].found_md5 is None


def test_missing_file_names_the_command_and_the_ways_to_say_where(tmp_path):
    with pytest.raises(DataError) as raised:
        MNISTConfig().build(tmp_path)
    for word in ("odenet data fetch mnist", "ODENET_DATA_DIR", "--data-dir", str(tmp_path)):
        assert word in str(raised.value)


def test_damaged_file_is_refused_with_both_checksums(published_dir, tmp_path):
    shutil.copytree(published_dir / "mnist", tmp_path / "mnist")
    path = tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    with pytest.raises(DataError, match="9fb629c4189551a2d022fa330f9573f3") as raised:
        MNISTConfig().build(tmp_path)
    assert hashlib.md5(content).hexdigest() in str(raised.value)


def test_data_dir_is_the_explicit_one_then_the_variable_then_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ODENET_DATA_DIR", "/from/variable")
    assert find_data_dir(tmp_path) == tmp_path
    assert str(find_data_dir()) == "/from/variable"
    monkeypatch.setenv("ODENET_DATA_DIR", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_data_dir() == tmp_path / ".cache" / "odenet"


def idx(array, code=8):
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes())


def test_idx_is_read_up_to_its_limit(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
    np.testing.assert_array_equal(parse_idx(idx(array), tmp_path, None), array)
    np.testing.assert_array_equal(parse_idx(idx(array), tmp_path, 3), array[:3])
    with pytest.raises(DataError, match="must be at most"):
        parse_idx(idx(array), tmp_path, 5)


@pytest.mark.parametrize(
    "content",
    [
        b"no gzip",
        gzip.compress(b"\0\0"),
        gzip.compress(b"\0\0\x08\x01\0\0\0\x09short"),
        idx(np.zeros((2, 2), np.uint8), code=9),
        idx(np.zeros((40, 40), np.uint8))[:-20],
    ],
    ids=["no-gzip", "no-header", "short", "type", "cut"],
)
def test_misshapen_idx_raises(content, tmp_path):
    with pytest.raises(DataError, match="must be a gzipped idx file"):
        parse_idx(content, tmp_path, None)


def published_pair(folder, images, labels):
    """Write both as a training pair and publish them with their own checksums."""
    files = []
    for name, array in (("train-images", images), ("train-labels", labels)):
        (folder / name).write_bytes(idx(array))
        files.append(PublishedFile(name, hashlib.md5((folder / name).read_bytes()).hexdigest()))
    return PublishedSet("tiny", "ours", tuple(files))


@pytest.mark.parametrize(
    ("shape", "labels"),
    [((3, 2, 2), [0, 1]), ((2, 4), [0, 1]), ((2, 2, 2), [0, 10])],
    ids=["count", "axes", "class"],
)
def test_images_that_do_not_fit_their_labels_raise(shape, labels, tmp_path):
    published = published_pair(tmp_path, np.zeros(shape, np.uint8), np.array(labels, np.uint8))
    with pytest.raises(DataError, match="with one label below 10 each"):
        read_idx_pair("tiny", tmp_path, published, "train", None)


class Runs:
    """A pickle that runs a command where it is read carelessly."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_pickle_that_runs_a_command_is_refused(tmp_path):
    trace = tmp_path / "it_ran"
    content = pickle.dumps({b"data": Runs(trace), b"labels": [1]})
    with pytest.raises(DataError, match=r"with the global \w+\.system"):
        parse_batch(content, tmp_path)
    assert not trace.exists()
    # The same bytes do run where nothing stops them.
    pickle.loads(content)
    assert trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"no pickle",
        b"",
        pickle.dumps([1, 2]),
        pickle.dumps({b"data": np.zeros((2, 3071), np.uint8), b"labels": [1, 2]}),
        pickle.dumps({b"data": np.zeros((2, 3072), np.int32), b"labels": [1, 2]}),
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}),
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 10]}),
        pickle.dumps({b"data": np.zeros((0, 3072), np.uint8), b"labels": []}),
    ],
)
def test_misshapen_batch_raises(content, tmp_path):
    with pytest.raises(DataError, match="must be a Python batch"):
        parse_batch(content, tmp_path)


def test_limit_larger_than_the_batches_raises(tmp_path):
    batch = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 2]}
    content = pickle.dumps(batch)
    (tmp_path / "test_batch").write_bytes(content)
    file = PublishedFile("test_batch", hashlib.md5(content).hexdigest())
    published = PublishedSet("tiny", "ours", (file,))
    images, _ = read_batches("tiny", tmp_path, published, "test", 1)
    assert images.shape == (1, 32, 32, 3)
    with pytest.raises(DataError, match="must be at most"):
        read_batches("tiny", tmp_path, published, "test", 3)
