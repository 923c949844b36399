"""PyTorch's files against PyTorch itself, in both formats, intact and damaged."""

import io
import pickle
import random
import struct
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from odenet.errors import CheckpointError
from odenet.models.pretrained import read_weights
from odenet.models.pretrained.torch_file import parse_torch

HERE = Path("weights.pt")
DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8"]


@pytest.fixture(scope="module")
def torch():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torch")


@pytest.fixture(params=["zip", "legacy"])
def save(request, torch):
    def save(thing, **options):
        stream = io.BytesIO()
        zipped = request.param == "zip"
        torch.save(thing, stream, _use_new_zipfile_serialization=zipped, **options)
        return stream.getvalue()

    return save


def as_numpy(torch, tensor):
    if tensor.dtype == torch.bfloat16:
        return tensor.detach().to(torch.float32).numpy()
    return tensor.detach().numpy()


def assert_equal(torch, read, tensors):
    assert list(read) == list(tensors)
    for name, tensor in tensors.items():
        assert str(tensor.dtype) == f"torch.{read[name].dtype}"
        assert read[name].shape == tuple(tensor.shape)
        np.testing.assert_array_equal(
            read[name].astype(np.float64), as_numpy(torch, tensor).astype(np.float64)
        )


def network(torch):
    nn = torch.nn
    layers = nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Linear(4, 5)
    return nn.Sequential(*layers)


def test_state_dict_of_a_network_is_read(torch, save):
    state = network(torch).state_dict()
    assert hasattr(state, "_metadata")  # written as attributes of the dict
    assert_equal(torch, parse_torch(save(state), HERE), state)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_binary_protocol_is_read(torch, save, protocol):
    state = network(torch).state_dict()
    assert_equal(torch, parse_torch(save(state, pickle_protocol=protocol), HERE), state)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_is_read(torch, save, dtype):
    tensors = {
        "a": torch.arange(-3, 9).reshape(3, 4).to(getattr(torch, dtype)),
        "scalar": torch.tensor(7).to(getattr(torch, dtype)),
        "empty": torch.zeros((0, 3), dtype=getattr(torch, dtype)),
    }
    assert_equal(torch, parse_torch(save(tensors), HERE), tensors)


def test_truth_values_are_read(torch, save):
    tensors = {"mask": torch.tensor([True, False, True])}
    assert_equal(torch, parse_torch(save(tensors), HERE), tensors)


def test_views_of_shared_storages_are_read(torch, save):
    base = torch.arange(120, dtype=torch.float32).reshape(4, 5, 6)
    tensors = {
        "base": base,
        "transposed": base.permute(2, 0, 1),
        "part": base[1:3, ::2, 3],
        "element": base[3, 4, 5],
        "last": base.flatten()[119:],
        "nothing": base.flatten()[120:],
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    }
    read = parse_torch(save(tensors), HERE)
    assert_equal(torch, read, tensors)
    assert np.shares_memory(read["base"], read["transposed"])
    assert not read["base"].flags.writeable


def test_parameters_are_read(torch, save):
    tensors = {"p": torch.nn.Parameter(torch.randn(3, 2)), "q": torch.randn(2, requires_grad=True)}
    assert_equal(torch, parse_torch(save(tensors), HERE), tensors)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net"])
def test_state_dict_in_a_checkpoint_is_found(torch, save, key):
    model = network(torch)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    checkpoint = {
        "epoch": 3,
        key: {f"module.{name}": tensor for name, tensor in model.state_dict().items()},
        "optimizer": optimizer.state_dict(),
        "best": 91.5,
        "arch": "resnet20",
        "done": True,
        "scheduler": None,
    }
    assert_equal(torch, parse_torch(save(checkpoint), HERE), model.state_dict())


def test_prefix_stays_where_not_all_have_it(torch, save):
    tensors = {"module.a": torch.zeros(1), "b": torch.zeros(1)}
    assert list(parse_torch(save(tensors), HERE)) == ["module.a", "b"]


def test_two_state_dicts_are_refused_by_name(torch, save):
    sets = {"net": {"a": torch.zeros(1)}, "state_dict": {"a": torch.zeros(1)}}
    with pytest.raises(CheckpointError, match=r"2 sets in the file: net, state_dict; .* --set net"):
        parse_torch(save(sets), HERE)


@pytest.mark.parametrize("thing", [[1], 3, {"a": 1}, {"a": [1]}, {0: {}}])
def test_what_is_no_state_dict_is_refused(save, thing):
    with pytest.raises(CheckpointError, match="state dict"):
        parse_torch(save(thing), HERE)


def test_expanded_tensor_of_any_size_is_refused(torch, save):
    with pytest.raises(CheckpointError, match="wide must not repeat the 1 numbers of its storage"):
        parse_torch(save({"wide": torch.ones(1).expand(10**12)}), HERE)


def test_names_of_other_objects_are_refused(torch, save):
    with pytest.raises(CheckpointError, match="Sequential"):
        parse_torch(save(network(torch)), HERE)


class Malicious:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)


def test_malicious_file_is_refused_and_not_run(save, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = save({"state_dict": OrderedDict(), "extra": Malicious()})
    with pytest.raises(CheckpointError, match="which was not run"):
        parse_torch(content, HERE)
    assert not Path("executed").exists()


def small_file(torch, save):
    shared = torch.randn(3, 4)
    return save({"state_dict": OrderedDict(a=shared, b=shared.T, c=torch.arange(5))})


def test_every_truncation_is_reported(torch, save):
    content = small_file(torch, save)
    parse_torch(content, HERE)
    for length in range(len(content)):
        with pytest.raises(CheckpointError, match=r"weights\.pt"):
            parse_torch(content[:length], HERE)


def test_no_damage_ends_in_another_error(torch, save):
    content = small_file(torch, save)
    draw = random.Random(5)
    survived = 0
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(draw.choice([1, 1, 2, 8])):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        try:
            arrays = parse_torch(bytes(damaged), HERE)
        except CheckpointError:
            continue
        survived += 1
        for array in arrays.values():
            array.sum()  # within the memory of the file
    assert survived < 400


def test_order_of_bytes_is_respected(torch):
    values = torch.arange(6, dtype=torch.float32)
    stream = io.BytesIO()
    torch.save({"a": values}, stream)
    swapped = io.BytesIO()
    with zipfile.ZipFile(stream) as source, zipfile.ZipFile(swapped, "w") as target:
        for name in source.namelist():
            part = source.read(name)
            if name.endswith("/byteorder"):
                part = b"big"
            if "/data/" in name:
                part = struct.pack(">6f", *struct.unpack("<6f", part))
            target.writestr(name, part)
    np.testing.assert_array_equal(parse_torch(swapped.getvalue(), HERE)["a"], values.numpy())


def rezip(content, change):
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w") as archive:
        change(source, archive)
    return target.getvalue()


def zipped(torch):
    stream = io.BytesIO()
    torch.save({"a": torch.randn(1000)}, stream)
    return stream.getvalue()


def test_compressed_parts_are_refused(torch):
    def compress(source, archive):
        for name in source.namelist():
            archive.writestr(name, source.read(name), zipfile.ZIP_DEFLATED)
        archive.comment = bytes(2000)  # long enough to hold what comes out

    with pytest.raises(CheckpointError, match="stored uncompressed"):
        parse_torch(rezip(zipped(torch), compress), HERE)


def test_missing_storage_is_reported(torch):
    def leave_out(source, archive):
        for name in source.namelist():
            if "/data/" not in name:
                archive.writestr(name, source.read(name))

    with pytest.raises(CheckpointError, match="data/0"):
        parse_torch(rezip(zipped(torch), leave_out), HERE)


def test_short_storage_is_reported(torch):
    def shorten(source, archive):
        for name in source.namelist():
            content = source.read(name)
            archive.writestr(name, content[:-4] if "/data/" in name else content)

    with pytest.raises(CheckpointError, match="must hold 1000 numbers of type float32; got 3996"):
        parse_torch(rezip(zipped(torch), shorten), HERE)


def test_archive_of_something_else_is_refused():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(CheckpointError, match=r"one data\.pkl"):
        parse_torch(stream.getvalue(), HERE)


def test_pickle_of_something_else_is_refused():
    with pytest.raises(CheckpointError, match="magic number"):
        parse_torch(pickle.dumps([1, 2], protocol=2), HERE)


def test_missing_file_is_reported(tmp_path):
    with pytest.raises(CheckpointError, match=r"No such file"):
        read_weights(tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match=r"readable"):
        read_weights(tmp_path)


def test_published_file_is_read(resnet20_file, torch):
    checkpoint = torch.load(resnet20_file, weights_only=True, map_location="cpu")
    tensors = {name.removeprefix("module."): t for name, t in checkpoint["state_dict"].items()}
    assert len(tensors) == 97
    assert_equal(torch, read_weights(resnet20_file), tensors)


def test_truncations_of_the_published_file_are_reported(resnet20_file):
    content = resnet20_file.read_bytes()
    for length in [*range(0, 20_000, 1999), *range(20_000, len(content), 49_999), len(content) - 1]:
        with pytest.raises(CheckpointError):
            parse_torch(content[:length], resnet20_file)
