"""Experiments on a user's own data: the file is found, before and after the training."""

import numpy as np
import pytest
from own_arrays import IMAGENET, IMAGES

from odenet.errors import ConfigError
from odenet.experiment.config import load_config, parse_config, to_yaml
from odenet.experiment.evaluate import evaluate
from odenet.experiment.run import resume, run


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
