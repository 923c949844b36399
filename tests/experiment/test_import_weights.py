"""Weights of published networks as run directories: evaluated, exported, and trained on."""

import json
import os
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import yaml

from odenet.errors import CheckpointError, ConfigError, RunDirectoryError
from odenet.experiment.config import parse_config
from odenet.experiment.evaluate import evaluate
from odenet.experiment.import_weights import export_weights, import_weights
from odenet.experiment.run import run
from odenet.models.pretrained import ARCHITECTURES, flatten, read_weights, write_safetensors

SIDE, CLASSES = 8, 4


def arrays_of(name, seed=0):
    """Random arrays as a file of that network holds them, of a size that keeps signals finite."""
    rng = np.random.default_rng(seed)
    made = {}
    for array in ARCHITECTURES[name].arrays(CLASSES, 3):
        values = rng.normal(size=array.shape)
        if array.layout != "same":
            values /= np.sqrt(np.prod(array.shape[1:]))
        elif array.tensor == "running_var" or ("bn" in array.part and array.tensor == "weight"):
            values = np.exp(0.2 * values)
        made[array.name] = values.astype(np.float32)
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("data") / "images.npz"
    images = {
        f"{part}_inputs": rng.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
        for part, count in (("train", 24), ("validation", 8), ("test", 8))
    }
    labels = {
        f"{part}_targets": np.arange(count) % CLASSES
        for part, count in (("train", 24), ("validation", 8), ("test", 8))
    }
    np.savez(path, **images, **labels)
    return path, images["test_inputs"], labels["test_targets"]


@pytest.fixture(scope="module")
def options(data):
    given = "data.normalize={mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4]}"
    return "data.kind=npz", f"data.path={data[0]}", given, "training.batch_size=8"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet20.safetensors"
    write_safetensors(path, arrays_of("resnet20"))
    return path


@pytest.fixture(scope="module")
def imported(tmp_path_factory, weights, options):
    path = tmp_path_factory.mktemp("runs") / "imported"
    return path, import_weights(weights, path, "resnet20", overrides=options)


def test_imported_network_is_evaluated_with_the_weights_of_the_file(imported, data):
    path, experiment = imported
    found = evaluate(path)
    network = experiment.network(experiment.start.params, experiment.start.statistics)
    images = (data[1].astype(np.float64) / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
    outputs = jax.jit(lambda x: network(x).outputs)(jax.numpy.asarray(images, np.float32))
    logits = np.asarray(outputs, np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    losses = -np.log(chances[np.arange(8), data[2]])
    assert found["loss"] == pytest.approx(losses.mean(), rel=1e-3)
    assert (found["step"], found["num_parameters"]) == (0, experiment.num_parameters)
    record = json.loads((path / "run.json").read_text())["weights"]
    assert record["arch"] == "resnet20"
    assert len(record["sha256"]) == 64


def test_export_by_the_names_of_the_network_gives_the_file_back(imported, weights, tmp_path):
    count = export_weights(imported[0], tmp_path / "again.safetensors", arch="resnet20")
    before, after = read_weights(weights), read_weights(tmp_path / "again.safetensors")
    assert before.keys() == after.keys()
    assert count == len(before)
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)


def test_export_by_our_names_is_imported_by_the_experiment(imported, tmp_path):
    export_weights(imported[0], tmp_path / "ours.safetensors")
    shutil.copy(imported[0] / "config.yaml", tmp_path / "experiment.yaml")
    again = import_weights(
        tmp_path / "ours.safetensors",
        tmp_path / "out",
        experiment_file=tmp_path / "experiment.yaml",
    )
    theirs, ours = flatten(imported[1].start.params), flatten(again.start.params)
    assert theirs.keys() == ours.keys()
    for path, array in theirs.items():
        np.testing.assert_array_equal(ours[path], array)


def test_names_of_a_wrapped_network_and_of_a_map_are_understood(weights, options, tmp_path):
    arrays = read_weights(weights)
    write_safetensors(tmp_path / "wrapped", {f"module.{k}": v for k, v in arrays.items()})
    wrapped = import_weights(tmp_path / "wrapped", tmp_path / "a", "resnet20", overrides=options)
    renamed = {name.replace("linear.", "classifier."): v for name, v in arrays.items()}
    write_safetensors(tmp_path / "renamed", renamed)
    rules = {"rename": [{"known": r"^linear\.", "file": "classifier."}]}
    (tmp_path / "names.yaml").write_text(yaml.safe_dump(rules))
    mapped = import_weights(
        tmp_path / "renamed", tmp_path / "b", "resnet20", map_file=tmp_path / "names.yaml",
        overrides=options,
    )  # fmt: skip
    for one, other in zip(
        jax.tree.leaves(wrapped.start.params), jax.tree.leaves(mapped.start.params), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_everything_that_does_not_fit_is_listed_and_nothing_is_written(weights, options, tmp_path):
    arrays = dict(read_weights(weights))
    del arrays["layer2.1.bn2.running_var"]
    arrays["layer1.0.conv1.weight"] = np.zeros((16, 16, 5, 5), np.float32)
    arrays["surplus"] = np.zeros(3, np.float32)
    write_safetensors(tmp_path / "broken", arrays)
    with pytest.raises(CheckpointError) as caught:
        import_weights(tmp_path / "broken", tmp_path / "out", "resnet20", overrides=options)
    message = str(caught.value)
    for said in (
        "layer2.1.bn2.running_var (32,)", "surplus (3,)",
        "layer1.0.conv1.weight: expected (16, 16, 3, 3), got (16, 16, 5, 5)",
    ):  # fmt: skip
        assert said in message
    assert not (tmp_path / "out").exists()


def test_wrong_questions_are_answered(weights, options, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match=r"nearest: .*resnet20"):
        import_weights(weights, out, "resnet21", overrides=options)
    with pytest.raises(ConfigError, match="give either --arch or --experiment"):
        import_weights(weights, out, overrides=options)
    with pytest.raises(ConfigError, match=r"give your own, such as data\.kind=npz"):
        import_weights(weights, out, "resnet50")
    out.mkdir()
    (out / "results.json").write_text("{}")
    with pytest.raises(RunDirectoryError, match="exists"):
        import_weights(weights, out, "resnet20", overrides=options)


def test_imported_network_is_trained_on_for_other_classes_by_euler_steps_of_learned_size(
    imported, weights, tmp_path
):
    # The residual stream of the imported network, its step sizes 1 at first and learned alone.
    values = yaml.safe_load((imported[0] / "config.yaml").read_text())
    values["name"] = "tuned"
    values["model"]["step_sizes"] = {"kind": "learned"}
    values["start"] = {"run": str(imported[0])}
    values["training"] |= {
        "num_steps": 2, "log_every": 1, "evaluate_every": 2, "checkpoint_every": 2,
        "optimizer": {"kind": "sgd", "learning_rate": 0.01, "only": "step_sizes"},
        "batch_statistics": "frozen",
    }  # fmt: skip
    tuned = run(parse_config(values), tmp_path / "tuned")
    taus = np.concatenate(tuned.results["taus"])
    assert len(taus) == 9
    assert (taus != 1).all()
    kept, start = flatten(tuned.state.params), flatten(imported[1].start.params)
    for path, array in start.items():
        np.testing.assert_array_equal(kept[path], array)
    statistics = jax.tree.leaves(tuned.state.statistics)
    assert statistics
    for one, other in zip(statistics, jax.tree.leaves(imported[1].start.statistics), strict=True):
        np.testing.assert_array_equal(one, other)
    # By published names, which have none for step sizes, these are in the last norm of each unit.
    export_weights(tmp_path / "tuned", tmp_path / "tuned.safetensors", arch="resnet20")
    before, after = read_weights(weights), read_weights(tmp_path / "tuned.safetensors")
    assert before.keys() == after.keys()
    for name, array in before.items():
        stage, unit, part, tensor = (*name.split("."), "", "")[:4]
        is_last = part == "bn2" and tensor in ("weight", "bias")
        tau = tuned.results["taus"][int(stage[5:]) - 1][int(unit)] if is_last else 1
        np.testing.assert_allclose(after[name], array * np.float32(tau), rtol=1e-6)


@pytest.mark.slow
def test_published_resnet20_has_the_published_test_error(tmp_path):
    folder = Path(os.environ.get("ODENET_DATA_DIR", ""))
    file = folder / "pretrained" / "resnet20-12fca82f.th"
    if not os.environ.get("ODENET_DATA_DIR") or not file.is_file():
        pytest.skip("ODENET_DATA_DIR names no folder with pretrained/resnet20-12fca82f.th")
    import_weights(file, tmp_path / "out", "resnet20", overrides=["data.limit_train=10000"])
    found = evaluate(tmp_path / "out")
    assert 100 * (1 - found["accuracy"]) == pytest.approx(8.27, abs=0.02)
