"""Files in PyTorch's legacy format, written by hand, that contradict themselves. Needs no torch."""

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from odenet.errors import CheckpointError
from odenet.models.pretrained import read_weights
from odenet.models.pretrained.torch_file import parse_torch

HERE = Path("weights.pt")
DATA = np.arange(6, dtype="<f4").tobytes()
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def body(value):
    """The opcodes that push a plain value."""
    return pickle.dumps(value, 2)[2:-1]


def storage(count=6, key="k", kind=b"FloatStorage", view=None):
    parts = body("storage"), b"ctorch\n" + kind + b"\n", *map(body, (key, "cpu", count, view))
    return b"(" + b"".join(parts) + b"tQ"


STORAGE = storage()


def tensor(stored=STORAGE, offset=0, size=(2, 3), stride=(3, 1)):
    hooks = b"ccollections\nOrderedDict\n)R"
    arguments = stored, *map(body, (offset, size, stride, False)), hooks
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + b"".join(arguments) + b"tR"


def legacy_file(
    *tensors, keys=("k",), count=6, data=DATA, magic=MAGIC, protocol=PROTOCOL, names="abc"
):
    items = b"".join(body(name) + item for name, item in zip(names, tensors, strict=False))
    header = b"".join(pickle.dumps(part, 2) for part in (magic, protocol, {"little_endian": True}))
    tree = b"\x80\x02}(" + items + b"u."
    counted = count.to_bytes(8, "little", signed=True)
    return header + tree + pickle.dumps(list(keys), 2) + counted + data


def test_honest_file_is_read(tmp_path):
    content = legacy_file(tensor(), tensor(size=(3, 2), stride=(1, 3)), tensor(size=(), stride=()))
    (tmp_path / "weights").write_bytes(content)
    read = read_weights(tmp_path / "weights")
    np.testing.assert_array_equal(read["a"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(read["b"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(read["c"], np.float32(0))


def test_stride_of_a_single_number_may_be_anything():
    read = parse_torch(legacy_file(tensor(size=(1, 6), stride=(2**70, 1))), HERE)
    assert read["a"].tolist() == [[0, 1, 2, 3, 4, 5]]


def test_expanded_tensor_is_read():
    read = parse_torch(legacy_file(tensor(offset=4, size=(7, 2), stride=(0, 1))), HERE)
    assert read["a"].tolist() == [[4, 5]] * 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"offset": 1},
        {"offset": 6},
        {"offset": -1},
        {"offset": 2**70},
        {"size": (2, 4)},
        {"size": (3, 3)},
        {"size": (2**40, 2**40)},
        {"size": (2**40,), "stride": (0,)},
        {"size": (-1, 6)},
        {"size": (2, 3.0)},
        {"size": (2,)},
        {"size": "ab"},
        {"size": (1,) * 65, "stride": (1,) * 65},
        {"stride": (4, 1)},
        {"stride": (-3, 1)},
        {"stride": (2**70, 1)},
        {"stride": None},
        {"size": (0, 2**70), "stride": (1, 1)},
        {"stored": storage(count=5)},
        {"stored": storage(count=7)},
        {"stored": storage(count=-6)},
        {"stored": storage(count=2**62)},
        {"stored": storage(count="6")},
        {"stored": storage(key=3)},
        {"stored": storage(key="other")},
        {"stored": storage(kind=b"DoubleStorage")},
        {"stored": storage(kind=b"load")},
        {"stored": storage(view=("v", 0, 3))},
        {"stored": body("no storage")},
    ],
    ids=str,
)
def test_tensor_outside_of_its_storage_is_refused(wrong):
    with pytest.raises(CheckpointError, match=r"weights\.pt"):
        parse_torch(legacy_file(tensor(**wrong)), HERE)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"magic": 1}, "magic number"),
        ({"protocol": 1002}, "protocol must be 1001; got 1002"),
        ({"count": 7}, "must hold 6 numbers of type float32; got the count 7"),
        ({"count": -1}, "got the count -1"),
        ({"data": DATA[:-1]}, "23 bytes to the end"),
        ({"keys": ()}, "storage 'k' of a is not in the file"),
        ({"keys": ("other",)}, "storage 'other' belongs to no tensor"),
        ({"keys": ("k", "k")}, "0 bytes to the end"),
        ({"names": ["a\x1b[2J"]}, "tensors by name"),
    ],
    ids=str,
)
def test_file_that_contradicts_itself_is_refused(wrong, words):
    with pytest.raises(CheckpointError, match=words):
        parse_torch(legacy_file(tensor(), **wrong), HERE)


def test_storage_of_two_types_is_refused():
    other = tensor(storage(kind=b"IntStorage"))
    with pytest.raises(CheckpointError, match="'k' is declared in two ways"):
        parse_torch(legacy_file(tensor(), other), HERE)


def test_huge_sizes_are_refused_without_memory():
    lies = [
        legacy_file(tensor(storage(count=2**40)), count=2**40),
        legacy_file(tensor(size=(2**40,), stride=(0,))),
    ]
    tracemalloc.start()
    try:
        for lie in lies:
            with pytest.raises(CheckpointError, match="must"):
                parse_torch(lie, HERE)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()
