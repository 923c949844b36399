"""What stands beside the weights in people's checkpoints: read past, and never run."""

import argparse
import builtins
import collections
import datetime
import decimal
import io
import os
import pathlib
import pickle
import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from odenet.errors import CheckpointError
from odenet.models.pretrained import read_weight_file, read_weights
from odenet.models.pretrained.inert import Placeholder
from odenet.models.pretrained.pickle_machine import PickleMachine
from odenet.models.pretrained.torch_file import parse_torch

HERE = Path("weights.pt")


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


BYSTANDERS = {
    "namespace": argparse.Namespace(lr=0.1, milestones=[1, 2], inner=argparse.Namespace(a=1)),
    "scalars": [np.float64(0.5), np.float32(1), np.int64(3), np.bool_(True)],
    "arrays": [np.arange(6.0).reshape(2, 3), np.array(["a"])],
    "counter": collections.Counter({30: 1, 60: 2}),
    "defaultdict": collections.defaultdict(list, {"a": [1], 2: [3]}),
    "defaultdict_of_dicts": collections.defaultdict(dict),
    "ordered": collections.OrderedDict(a=1),
    "dates": [datetime.datetime(2020, 1, 2), datetime.date(2020, 1, 2), datetime.timedelta(1)],
    "zone": datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
    "paths": [pathlib.PurePosixPath("a/b"), pathlib.PureWindowsPath("a"), Path("c")],
    "sets": [{1, "a"}, frozenset([2]), set()],
    "bytes": [b"", b"abc", bytes(300), bytearray(b"x")],
    "numbers": [1 + 2j, decimal.Decimal("0.1"), 2**3000, range(3), slice(1, 2)],
    "keys": {None: 1, 1.5: 2, b"a": 3, True: 4},
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", BYSTANDERS)
def test_bystander_does_not_keep_the_weights_from_being_read(torch, save, name, protocol):
    weights = {"a.weight": torch.arange(6.0).reshape(2, 3)}
    checkpoint = {name: BYSTANDERS[name], "state_dict": weights, "epoch": 3}
    read = parse_torch(save(checkpoint, pickle_protocol=protocol), HERE)
    np.testing.assert_array_equal(read["a.weight"], weights["a.weight"].numpy())


def test_bystanders_of_pytorch_are_read_past(torch, save):
    model = torch.nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [30, 60, 60])
    checkpoint = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": schedule.state_dict(),
        "about": [torch.Size([1, 2]), torch.device("cpu"), torch.float32, torch.bfloat16],
        "version": torch.__version__,
        "random": torch.get_rng_state(),
        "spectrum": torch.zeros(2, dtype=torch.complex64),
    }
    read = parse_torch(save(checkpoint), HERE)
    np.testing.assert_array_equal(read["weight"], model.weight.detach().numpy())


def test_values_beside_the_tensors_of_a_state_dict_are_left_out(torch, save):
    read = parse_torch(save({"a": torch.ones(2), "epoch": 3, "when": datetime.date.today()}), HERE)
    assert list(read) == ["a"]


def test_names_of_numpy_before_and_since_version_2_are_placeholders():
    for core in ("numpy.core", "numpy._core"):
        content = (
            f"\x80\x02c{core}.multiarray\nscalar\ncnumpy\ndtype\nX\x02\x00\x00\x00f8K\x00K\x01\x87R"
        )
        content += "c_codecs\nencode\nX\x01\x00\x00\x00aX\x06\x00\x00\x00latin1\x86R\x86R."
        assert isinstance(PickleMachine().load(io.BytesIO(content.encode("latin1"))), Placeholder)


def test_buffers_and_parameters_with_attributes_are_read(torch, save):
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.tag = "kept"
    tensors = {"b": torch.nn.Buffer(torch.arange(3.0)), "p": parameter}
    read = parse_torch(save(tensors), HERE)
    assert read["b"].tolist() == [0, 1, 2]
    assert read["p"].tolist() == [1, 1]


def test_expanded_tensors_are_read(torch, save):
    tensors = {
        "wide": torch.arange(3.0)[:, None].expand(3, 4),
        "scalar": torch.tensor(2.0).expand(5),
        "windows": torch.arange(6.0).unfold(0, 3, 1),
    }
    for name, array in parse_torch(save(tensors), HERE).items():
        np.testing.assert_array_equal(array, tensors[name].numpy())


def test_negative_bit_is_the_sign(torch, save):
    complex_numbers = torch.tensor([1 + 2j, 3 - 4j]).conj()
    tensors = {"imaginary": complex_numbers.imag, "twice": complex_numbers.imag.expand(2, 2)}
    assert tensors["imaginary"].is_neg()
    read = parse_torch(save(tensors), HERE)
    assert read["imaginary"].tolist() == [-2, 4]
    assert read["twice"].tolist() == [[-2, 4]] * 2


def test_complex_conjugates_are_refused(torch, save):
    with pytest.raises(CheckpointError, match="real numbers; got w, a complex conjugate"):
        parse_torch(save({"w": torch.tensor([1 + 2j]).conj()}), HERE)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_files_are_equal_to_rounding(torch, save, dtype, tmp_path):
    values = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    (tmp_path / "w").write_bytes(save({"a": values.to(getattr(torch, dtype))}))
    read = read_weights(tmp_path / "w")["a"].astype(np.float64)
    spacing = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(read, values.double().numpy(), rtol=spacing)


class Reduces:
    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


MARK = "executed"
MALICIOUS = {
    "system": (os.system, (f"touch {MARK}",)),
    "eval": (builtins.eval, (f"open({MARK!r}, 'w')",)),
    "exec": (builtins.exec, (f"open({MARK!r}, 'w')",)),
    "open": (io.open, (MARK, "w")),
    "getattr": (builtins.getattr, (os, "system")),
    "touch": (Path.touch, (Path(MARK),)),
    "import": (builtins.__import__, ("os",)),
}


@pytest.mark.parametrize("place", ["beside", "within", "key", "state"])
@pytest.mark.parametrize("name", MALICIOUS)
def test_what_a_file_would_run_is_refused_and_not_run(
    torch, save, name, place, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    thing = Reduces(*MALICIOUS[name]) if name != "getattr" else Reduces(builtins.getattr, ("", ""))
    checkpoint = {"state_dict": {"a": torch.ones(1)}}
    if place == "beside":
        checkpoint["extra"] = thing
    elif place == "within":
        checkpoint["args"] = argparse.Namespace(inner=thing)
    elif place == "key":
        checkpoint[thing] = 1
    else:  # the state that a class's own __setstate__ would get
        checkpoint["counter"] = Reduces(argparse.Namespace, (), {"a": thing})
    content = save(checkpoint)
    with pytest.raises(CheckpointError, match="which was not run"):
        parse_torch(content, HERE)
    assert not Path(MARK).exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cargparse\nNamespace\n)\x81}X\x0c\x00\x00\x00__setstate__cos\nsystem\nsb.",
        b"\x80\x02cos\nsystem\n)\x81.",
        b"\x80\x02cbuiltins\nobject\n)\x81.",
        b"\x80\x04cbuiltins\neval\n)}\x92.",
        b"\x80\x02K\x01)\x81.",
        b"\x80\x02]K\x01b.",
        b"\x80\x04](K\x01\x90.",
    ],
)
def test_new_opcodes_make_nothing_but_placeholders(content):
    with pytest.raises(CheckpointError):
        PickleMachine().load(io.BytesIO(content))


def test_class_of_a_placeholder_is_never_made(monkeypatch):
    class Explosive(argparse.Namespace):
        def __init__(self, **_):
            raise AssertionError("made")

        __setstate__ = __init__

    content = pickle.dumps(argparse.Namespace(a=1), 2)
    monkeypatch.setattr(argparse, "Namespace", Explosive)
    assert isinstance(PickleMachine().load(io.BytesIO(content)), Placeholder)


def test_averaged_weights_are_offered_by_name(torch, save, tmp_path):
    checkpoint = {
        "state_dict": {"a": torch.zeros(1)},
        "ema_state_dict": {"a": torch.ones(1)},
        "optimizer": {"state": {0: {"exp_avg": torch.ones(1)}}, "named": {"a": torch.ones(1)}},
        "options": {"mean": torch.ones(3)},
    }
    (tmp_path / "w").write_bytes(save(checkpoint))
    file = read_weight_file(tmp_path / "w")
    assert list(file.sets) == ["state_dict", "ema_state_dict"]
    assert file.choose("ema_state_dict")["a"] == 1
    with pytest.raises(CheckpointError, match="2 sets in the file: state_dict, ema_state_dict"):
        file.choose()
    with pytest.raises(CheckpointError, match=r"or a prefix of names .* got 'emma'"):
        file.choose("emma")


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (("params", "params_ema"), ["params", "params_ema"]),
        (("model", "model_ema"), ["model", "model_ema"]),
        (("generator", "discriminator"), ["generator", "discriminator"]),
        (("generator",), ["generator"]),
    ],
)
def test_sets_are_found_under_their_keys(torch, save, tmp_path, keys, found):
    (tmp_path / "w").write_bytes(save({key: {"a": torch.ones(1)} for key in keys}))
    assert list(read_weight_file(tmp_path / "w").sets) == found
