"""Safetensors files: bit for bit both ways, and against the library's interface for PyTorch."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest

from odenet.errors import CheckpointError
from odenet.models.pretrained import read_weights, write_safetensors

DTYPES = [
    *(np.float64, np.float32, np.float16, jnp.bfloat16, np.bool_),
    *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
]


def random_bits(shape, dtype, seed=0):
    dtype = np.dtype(dtype)
    draw = np.random.default_rng(seed)
    if dtype == np.bool_:
        return draw.integers(0, 2, shape).astype(dtype)
    count = int(np.prod(shape))
    return np.frombuffer(draw.bytes(count * dtype.itemsize), dtype).reshape(shape)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_round_trip_keeps_every_bit(tmp_path, dtype):
    arrays = {
        "matrix": random_bits((3, 5), dtype),
        "scalar": random_bits((), dtype),
        "empty": random_bits((0, 2), dtype),
        "image": random_bits((2, 3, 4, 5), dtype, seed=1),
    }
    write_safetensors(tmp_path / "w.safetensors", arrays)
    read = read_weights(tmp_path / "w.safetensors")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        assert read[name].tobytes() == array.tobytes()  # bits: some are not numbers


def test_strides_and_order_of_bytes_do_not_matter(tmp_path):
    array = random_bits((4, 6), np.float32)
    views = {
        "transposed": array.T,
        "part": array[::2, 1:5:3],
        "backwards": array[::-1],
        "big": np.arange(5, dtype=">f4"),
        "wide": np.broadcast_to(np.float32(3), (2, 3)),
    }
    write_safetensors(tmp_path / "w", views)
    read = read_weights(tmp_path / "w")
    for name, view in views.items():
        np.testing.assert_array_equal(read[name], view)


def test_type_that_the_format_lacks_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="'c' of type complex128"):
        write_safetensors(tmp_path / "w", {"a": np.ones(2), "c": np.ones(2, complex)})
    assert not list(tmp_path.iterdir())


def test_folder_that_is_missing_is_reported(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be written"):
        write_safetensors(tmp_path / "none" / "w", {"a": np.ones(2)})


def test_existing_file_is_replaced_and_nothing_else_is_left(tmp_path):
    write_safetensors(tmp_path / "w", {"a": np.ones(2)}, {"format": "np"})
    write_safetensors(tmp_path / "w", {"b": np.ones(3)})
    assert list(read_weights(tmp_path / "w")) == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


def test_truncations_are_reported(tmp_path):
    path = tmp_path / "w"
    write_safetensors(path, {"a": random_bits((3, 5), np.float32), "b": np.ones(2)})
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="safetensors file; as a safetensors file"):
            read_weights(path)


def test_header_length_that_looks_like_a_pickle_is_no_obstacle(tmp_path):
    length = 0x80
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(length)
    content = length.to_bytes(8, "little") + header + np.float32(2).tobytes()
    (tmp_path / "w").write_bytes(content)
    assert read_weights(tmp_path / "w")["a"] == np.ones(1, np.float32) * 2


def test_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "w").write_text("<!DOCTYPE html><html>Not found</html>")
    with pytest.raises(
        CheckpointError, match="or safetensors file; as a safetensors file it cannot be read"
    ):
        read_weights(tmp_path / "w")


def test_type_that_numpy_lacks_is_refused(tmp_path):
    header = b'{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
    (tmp_path / "w").write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    with pytest.raises(CheckpointError, match="'a' of type F8_E4M3"):
        read_weights(tmp_path / "w")


@pytest.mark.torch
def test_files_of_pytorch_and_ours_are_the_same(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch")
        from safetensors.torch import load_file, save_file
    tensors = {"half": torch.randn(3, 2).to(torch.bfloat16), "full": torch.randn(4)}
    save_file(tensors, tmp_path / "theirs")
    read = read_weights(tmp_path / "theirs")
    write_safetensors(tmp_path / "ours", read)
    back = load_file(tmp_path / "ours")
    for name, tensor in tensors.items():
        assert torch.equal(back[name], tensor)
        np.testing.assert_array_equal(read[name].astype(np.float32), tensor.to(torch.float32))
