"""Files of weights as people have them: prefixes, sets, other classes, other names."""

import json
import logging
import re

import jax
import numpy as np
import pytest
import yaml

from odenet.errors import CheckpointError, ConfigError, DataError
from odenet.experiment.build import build
from odenet.experiment.config import load_config
from odenet.experiment.evaluate import evaluate
from odenet.experiment.import_weights import import_weights
from odenet.experiment.published import refuse_other_function
from odenet.experiment.source import beginning
from odenet.models.pretrained import ARCHITECTURES, flatten, write_safetensors
from odenet.models.pretrained.resnet_names import arrays_of
from odenet.models.resnet import ResNetConfig

SIDE, CLASSES = 8, 4
SMALL = ("model.depth=14", "model.width=2")
MODEL = {"depth": 14, "width": 2, "zeros": "around"}


def small_arrays(classes=CLASSES, channels=3, **model):
    rng = np.random.default_rng(0)
    config = ResNetConfig(**(MODEL | model))
    return {
        array.name: rng.uniform(0.1, 0.3, array.shape).astype(np.float32)
        for array in arrays_of(config, "linear", classes, channels)
    }


def saved(tmp_path, arrays):
    write_safetensors(tmp_path / "weights", arrays)
    return tmp_path / "weights"


def npz(folder, classes=CLASSES, channels=3):
    rng = np.random.default_rng(1)
    arrays = {}
    for part, count in (("train", 24), ("validation", 12), ("test", 12)):
        shape = (count, SIDE, SIDE, channels)
        arrays[f"{part}_inputs"] = rng.integers(0, 256, shape, np.uint8)
        arrays[f"{part}_targets"] = np.arange(count) % classes
    np.savez(folder / f"{classes}_{channels}.npz", **arrays)
    return folder / f"{classes}_{channels}.npz"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = npz(tmp_path_factory.mktemp("data"))
    return "data.kind=npz", f"data.path={path}", "training.batch_size=4", *SMALL


def imported(tmp_path, arrays, options, **given):
    return import_weights(
        saved(tmp_path, arrays), tmp_path / "out", "resnet20", overrides=options, **given
    )


def assert_holds(made, arrays, layer="layer1.1.conv1.weight"):
    kernel = flatten(made.start.params)["blocks.0.weights.stacked.branch.weights.0.kernel"]
    np.testing.assert_array_equal(kernel[1], arrays[layer].transpose(2, 3, 1, 0))


@pytest.mark.parametrize(
    "prefix",
    [
        pytest.param("module.", marks=pytest.mark.product),
        pytest.param("_orig_mod.", marks=pytest.mark.product),
        "encoder_q.",
        "module.model.",
    ],
)
def test_prefix_of_all_names_is_removed_and_told(tmp_path, data, prefix):
    arrays = small_arrays()
    made = imported(tmp_path, {prefix + name: a for name, a in arrays.items()}, data)
    assert_holds(made, arrays)
    assert made.notes == (f"names were read without `{prefix}`",)
    assert json.loads((tmp_path / "out/run.json").read_text())["weights"]["notes"] == [*made.notes]


def test_averaged_model_and_wrappers_inside_of_names_are_read(tmp_path, data):
    arrays = small_arrays()
    wrapped = {
        f"module.{name.replace('layer1.', 'layer1._orig_mod.')}": a for name, a in arrays.items()
    }
    wrapped["n_averaged"] = np.asarray(3)
    wrapped["module.bn1.num_batches_tracked"] = np.asarray(3)
    made = imported(tmp_path, wrapped, data)
    assert_holds(made, arrays)
    assert made.notes == ("names were read without `module.` and `_orig_mod.`",)


def test_set_under_a_prefix_is_chosen(tmp_path, data):
    arrays = small_arrays()
    both = {f"encoder_q.{name}": a for name, a in arrays.items()}
    both |= {f"encoder_k.{name}": a * 2 for name, a in arrays.items()}
    with pytest.raises(CheckpointError, match="choose by --set encoder_k or --set encoder_q"):
        imported(tmp_path, both, data)
    made = imported(tmp_path, both, data, which="encoder_q")
    assert_holds(made, arrays)


def refusal(tmp_path, arrays, options, **given):
    with pytest.raises(CheckpointError) as caught:
        imported(tmp_path, arrays, options, verbose=False, **given)
    assert not (tmp_path / "out").exists()
    return str(caught.value).splitlines()


def test_refusal_names_the_network_that_the_file_fits_and_cuts_its_lists(tmp_path, data):
    arrays = {
        array.name: np.zeros(array.shape, np.float32)
        for array in ARCHITECTURES["resnet164"].arrays(7, 3)
    }
    lines = refusal(tmp_path, arrays, data)
    assert lines[1] == "  the file fits --arch resnet164"
    assert len(lines) < 45
    assert sum("more (--verbose)" in line for line in lines) >= 2
    wrapped = {f"_orig_mod.{name}": array for name, array in arrays.items()}
    lines = refusal(tmp_path, wrapped, data)
    assert lines[1:3] == [
        "  the file fits --arch resnet164",
        "  names were compared without `_orig_mod.`, which all names have",
    ]


def test_refusal_names_the_shortcuts_that_the_file_has(tmp_path, data):
    config = ARCHITECTURES["resnet20"].model.model_copy(
        update={"shortcut": "projection", "zeros": "after"}
    )
    arrays = {a.name: np.zeros(a.shape, np.float32) for a in arrays_of(config, "linear", 10, 3)}
    lines = refusal(tmp_path, arrays, data[:3])
    assert lines[1] == "  the file fits --arch resnet20 model.shortcut=projection"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda a: {k: v for k, v in a.items() if "linear" not in k},
            "the file lacks only the last layer, linear.bias, linear.weight",
        ),
        (
            lambda a: {k.replace("linear", "fc"): v for k, v in a.items()},
            "and has fc.bias, fc.weight in its place",
        ),
        (lambda a: {f"x{i}": v for i, v in enumerate(a.values())}, "none of its names is known"),
        (lambda a: a | {"queue": np.zeros(3)}, "all arrays of the network, and 1 more"),
        (lambda a: {k: v[..., None] for k, v in a.items()}, "all names are known, but"),
    ],
)
def test_refusal_says_what_is_likely(tmp_path, data, change, said):
    assert said in "\n".join(refusal(tmp_path, change(small_arrays()), data)[1:4])


def compiled(records):
    return [record for record in records if record.getMessage().startswith("Compiling")]


def test_refusal_compiles_nothing_and_import_no_initialiser(tmp_path, data, caplog):
    arrays = small_arrays()
    part = dict(list(arrays.items())[:-1])
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        refusal(tmp_path, part, data)
        assert not compiled(caplog.records)
        imported(tmp_path, arrays, data)
        said = [record.getMessage() for record in compiled(caplog.records)]
    assert not any("normal" in line or "uniform" in line for line in said)


def test_published_sets_are_not_read_to_import(tmp_path):
    made = imported(tmp_path, small_arrays(classes=10), SMALL, data_dir=tmp_path / "empty")
    assert made.config.data.kind == "cifar10"
    assert json.loads((tmp_path / "out/run.json").read_text())["data_source"].startswith("CIFAR-10")


def test_file_of_other_classes_and_channels_is_imported_and_a_start_of_trainings(tmp_path, data):
    made = imported(tmp_path, small_arrays(classes=7, channels=1), data)
    out = tmp_path / "out"
    assert made.config.data.kind == "absent"
    assert (made.config.data.num_classes, made.config.data.shape) == (7, (SIDE, SIDE, 1))
    (note,) = made.notes
    assert "the file has 7 classes, the data 4 and 1 channels, the data 3" in note
    start = f"{{run: {out}, last: reinitialise, first: sum_channels}}"
    assert f"'start={start}'" in note
    with pytest.raises(DataError, match=r"imported weight file, inputs of shape 8x8x1 and 7"):
        evaluate(out)
    tuned = load_config(
        out / "config.yaml",
        [
            f"data={{kind: npz, path: {data[1].split('=')[1]}}}",
            f"start={start}",
            "training.batch_size=4",
        ],
    )
    began = build(tuned, begin=beginning(tuned)).start.params
    assert began["head"]["linear"]["kernel"].shape == (8, CLASSES)
    kept = "blocks.0.weights.stacked.branch.norms.0.scale"
    np.testing.assert_array_equal(flatten(began)[kept], flatten(made.start.params)[kept])
    found = evaluate(out, [f"data={{kind: npz, path: {npz(tmp_path, 7, 1)}}}"])
    assert np.isfinite(found["loss"])


def test_network_without_data_is_imported(tmp_path):
    options = ["model.depth=18", "model.width=2"]
    options.append("data={kind: absent, shape: [16, 16, 3], num_classes: 5}")
    config = ResNetConfig(layout="imagenet", depth=18, width=2)
    arrays = {a.name: np.ones(a.shape, np.float32) for a in arrays_of(config, "fc", 5, 3)}
    made = import_weights(saved(tmp_path, arrays), tmp_path / "out", "resnet18", overrides=options)
    assert made.notes == ()


def mapped(tmp_path, rules):
    (tmp_path / "names.yaml").write_text(yaml.safe_dump(rules))
    return tmp_path / "names.yaml"


def test_map_sees_the_names_of_the_file(tmp_path, data):
    arrays = small_arrays()
    wrapped = {f"module.{name}": a for name, a in arrays.items()}
    rules = {"rename": [{"known": "^", "file": "module."}]}
    made = imported(tmp_path, wrapped, data, map_file=mapped(tmp_path, rules))
    assert_holds(made, arrays)
    assert made.notes == ()


def test_map_that_matches_nothing_is_refused(tmp_path, data):
    rules = {"rename": [{"known": r"^classifier\.", "file": "fc."}]}
    with pytest.raises(ConfigError, match=r"'\^classifier\\\\\.' is in none of the \d+"):
        imported(tmp_path, small_arrays(), data, map_file=mapped(tmp_path, rules))


def test_overridden_shortcuts_have_their_own_names(tmp_path, data):
    arrays = small_arrays(shortcut="projection", zeros="after")
    assert "layer2.0.shortcut.0.weight" in arrays
    made = imported(tmp_path, arrays, (*data, "model.shortcut=projection"))
    within = "projections.1.operation.unit.shortcut.projection.operation.affine.kernel"
    expected = arrays["layer2.0.shortcut.0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(flatten(made.start.params)[within], expected)


def test_overrides_without_published_names_are_refused(tmp_path, data):
    options = (*data, "model.shortcut=projection_everywhere")
    with pytest.raises(ConfigError, match="shortcut=zero_pad or projection; got projection_every"):
        imported(tmp_path, small_arrays(), options)
    model = "model={kind: classifier, stages: [{width: 4}]}"
    with pytest.raises(ConfigError, match=r"only for model\.kind=resnet; got classifier"):
        imported(tmp_path, small_arrays(), (*data[:3], model))


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("resnet20", {"depth": 26}, "model.depth=20; the run has 26"),
        ("resnet20", {"zeros": "after"}, "model.zeros=around; the run has after"),
        ("resnet20", {"padding": "same"}, "model.padding=symmetric; the run has same"),
        ("resnet50", {"strided_weight": 1}, "model.strided_weight=2; the run has 1"),
        ("resnet164", {"integrator": {"kind": "rk4"}}, "integrator.kind=euler; the run has rk4"),
    ],
)
def test_names_of_a_network_that_computes_something_else_are_refused(name, given, said):
    architecture = ARCHITECTURES[name]
    values = architecture.model.model_dump(exclude_unset=True)
    with pytest.raises(CheckpointError, match=re.escape(said)):
        refuse_other_function(name, architecture, ResNetConfig(**(values | given)))
    refuse_other_function(name, architecture, architecture.model)
