"""Checkpoints of Flax: the network of its examples, imported, gives the same outputs."""

import flax.linen as nn
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.errors import CheckpointError
from odenet.experiment.import_weights import import_weights
from odenet.models.pretrained import read_weight_file

OPTIONS = [
    "model.depth=14",
    "model.width=2",
    "model.shortcut=projection",
    "data={kind: absent, shape: [8, 8, 3], num_classes: 4}",
]


class ResNetBlock(nn.Module):
    """As in `examples/imagenet/models.py` of Flax."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x):
        strides = (self.stride, self.stride)
        y = nn.Conv(self.width, (3, 3), strides, use_bias=False)(x)
        y = nn.relu(nn.BatchNorm(use_running_average=True)(y))
        y = nn.BatchNorm(use_running_average=True)(nn.Conv(self.width, (3, 3), use_bias=False)(y))
        if x.shape != y.shape:
            x = nn.Conv(self.width, (1, 1), strides, use_bias=False, name="conv_proj")(x)
            x = nn.BatchNorm(use_running_average=True, name="norm_proj")(x)
        return nn.relu(x + y)


class ResNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Conv(2, (3, 3), use_bias=False, name="conv_init")(x)
        x = nn.relu(nn.BatchNorm(use_running_average=True, name="bn_init")(x))
        for stage in range(3):
            for unit in range(2):
                x = ResNetBlock(2 * 2**stage, 2 if stage and not unit else 1)(x)
        return nn.Dense(4)(x.mean((1, 2)))


@pytest.fixture(scope="module")
def theirs():
    shapes = jax.eval_shape(ResNet().init, jax.random.key(0), jnp.zeros((1, 8, 8, 3), jnp.float32))
    rng = np.random.default_rng(0)

    def values(path, leaf):
        made = rng.uniform(0.5, 1.5, leaf.shape)
        signed = rng.choice([-1, 1], leaf.shape) if leaf.ndim > 1 else 1
        return jnp.asarray(made * signed, jnp.float32)

    return jax.tree_util.tree_map_with_path(values, shapes)


@pytest.fixture
def file(theirs, tmp_path):
    state = {"step": 3, "opt_state": {"0": {"count": jnp.zeros(())}}, **theirs}
    (tmp_path / "weights").write_bytes(flax.serialization.to_bytes(state))
    return tmp_path / "weights"


def test_network_of_flax_gives_its_outputs_with_the_padding_of_flax(theirs, file, tmp_path):
    made = import_weights(file, tmp_path / "out", "resnet20", overrides=OPTIONS)
    assert made.notes[0].startswith("model.padding=same is assumed, as in Flax")
    assert made.config.model.padding == "same"
    x = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)
    network = made.network(made.start.params, made.start.statistics)
    expected, found = jax.jit(lambda x: (ResNet().apply(theirs, x), network(x).outputs))(x)
    scale = float(jnp.abs(expected).max())
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-5)


def test_padding_that_is_asked_for_is_kept(file, tmp_path):
    options = [*OPTIONS, "model.padding=symmetric"]
    made = import_weights(file, tmp_path / "out", "resnet20", overrides=options)
    assert made.config.model.padding == "symmetric"
    assert "have the given model.padding=symmetric" in made.notes[0]


def test_sets_and_names_of_a_checkpoint_are_those_of_flax(theirs, tmp_path):
    averaged = jax.tree.map(lambda leaf: leaf + 1, theirs["params"])
    state = {"state": theirs | {"ema_params": averaged}}
    (tmp_path / "w").write_bytes(flax.serialization.msgpack_serialize(state))
    read = read_weight_file(tmp_path / "w")
    assert (read.origin, list(read.sets)) == ("flax", ["params", "ema_params"])
    kernel = theirs["params"]["Dense_0"]["kernel"]
    name = "params.Dense_0.kernel"
    np.testing.assert_array_equal(read.choose("params")[name], kernel)
    np.testing.assert_array_equal(read.choose("ema_params")[name], kernel + 1)
    assert "batch_stats.bn_init.mean" in read.choose("ema_params")


def test_types_and_chunks_are_read(tmp_path, monkeypatch):
    arrays = {
        name: jnp.arange(-3, 3).astype(name).reshape(2, 3)
        for name in ("bfloat16", "float16", "float32", "int8", "int32")
    }
    monkeypatch.setattr(flax.serialization, "MAX_CHUNK_SIZE", 16)
    content = flax.serialization.msgpack_serialize({"params": arrays, "scale": np.float32(2)})
    (tmp_path / "w").write_bytes(content)
    read = read_weight_file(tmp_path / "w").choose()
    for name, array in arrays.items():
        np.testing.assert_array_equal(
            read[f"params.{name}"].astype(np.float32), np.asarray(array, np.float32)
        )
        assert read[f"params.{name}"].dtype == array.dtype


def test_damaged_checkpoints_are_refused(tmp_path):
    content = flax.serialization.msgpack_serialize({"params": {"a": np.ones((2, 3))}})
    path = tmp_path / "w"
    for length in range(1, len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            read_weight_file(path)
    for wrong in (b"\x81\xa1a\x01", b"\x81\xa6params\x80", b"\xdf\xff\xff\xff\xff" + bytes(20)):
        path.write_bytes(wrong)
        with pytest.raises(CheckpointError):
            read_weight_file(path)
    path.write_bytes(content.replace(b"float64", b"objectx"))
    with pytest.raises(CheckpointError, match="type 'objectx'"):
        read_weight_file(path)
