"""Runs that go on, are exported or looked at on other devices, or with other intervals."""

import json
import shutil

import jax
import numpy as np
import pytest
from stopping import SignalAt
from tiny_experiment import classifier, configured, tiny

from odenet.errors import ConfigError
from odenet.experiment.compare import compare, resume_comparison
from odenet.experiment.config import read_experiment
from odenet.experiment.evaluate import evaluate
from odenet.experiment.import_weights import export_weights
from odenet.experiment.run import load, resume, run
from odenet.training.callbacks import read_metrics
from odenet.training.interrupt import Interrupted

VALUES = tiny(
    classifier(4, num_steps=2, field={"kind": "mlp"}),
    num_steps=12,
    log_every=3,
    evaluate_every=6,
    parallel={"devices": 4},
)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "stopped"
    with pytest.raises(Interrupted):
        run(configured(VALUES), path, callbacks=[SignalAt(6)])
    return path


@pytest.fixture
def fewer_devices(monkeypatch):
    """This machine with two of its devices."""
    devices = jax.devices()[:2]
    monkeypatch.setattr("odenet.training.parallel.jax.devices", lambda *kind: devices)


def files(path):
    return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}


def test_run_of_four_devices_goes_on_with_two_and_keeps_that(stopped, tmp_path, fewer_devices):
    path = shutil.copytree(stopped, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"there are 2 .*: training\.parallel\.devices=2"):
        resume(path)
    trained = resume(path, overrides="training.parallel.devices=2")
    assert len(trained.experiment.placement.devices) == 2
    assert read_experiment(path / "config.yaml").training.parallel.devices == 2
    assert read_metrics(path / "metrics.jsonl")[-1]["step"] == 12


REFUSED = {
    "a batch that does not divide": ("training.parallel.devices=3", r"multiple of the 3 devices"),
    "other learning rate": ("training.optimizer.learning_rate=1", r"got training\.optimizer\.lear"),
    "other batch": ("training.batch_size=8", r"got training\.batch_size; to train with"),
    "more steps": ("training.num_steps=24", "accepts only overrides of"),
    "other model": ("model.block.num_steps=4", r"got model\.block\.num_steps"),
    "all of training": ("training={parallel: {devices: 2}}", "got training;"),
    "another seed": ("seed=3", "got seed"),
    "impossible intervals": ("training.steps_per_dispatch=5", "steps_per_dispatch must divide"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_change_the_training_is_refused_by_name(stopped, name):
    override, message = REFUSED[name]
    before = files(stopped)
    with pytest.raises(ConfigError, match=message):
        resume(stopped, overrides=override)
    assert files(stopped) == before


def test_intervals_that_do_not_meet_the_checkpoint_end_at_the_last_step(stopped, tmp_path):
    path = shutil.copytree(stopped, tmp_path / "run")
    assert load(path)[1].step % 4  # what dispatches of the new intervals would not come from
    every = {f"training.{name}": 4 for name in ("log_every", "evaluate_every", "checkpoint_every")}
    trained = resume(path, overrides=every)
    assert trained.results["step"] == 12
    steps = [r["step"] for r in read_metrics(path / "metrics.jsonl") if r["split"] == "train"]
    assert [step for step in steps if step > 6] == [8, 12]
    straight = run(configured(VALUES), tmp_path / "straight")
    for one, two in zip(
        jax.tree.leaves(trained.state.params),
        jax.tree.leaves(straight.state.params),
        strict=True,
    ):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_export_and_evaluation_ask_for_no_devices_that_are_not_there(
    stopped, tmp_path, fewer_devices
):
    assert export_weights(stopped, tmp_path / "w.safetensors") > 0
    loss = evaluate(stopped)["loss"]
    assert np.isfinite(loss)
    other = evaluate(stopped, ["training.batch_size=15"])["loss"]
    assert other == pytest.approx(loss, rel=1e-5)
    with pytest.raises(ConfigError, match="there are 2"):
        evaluate(stopped, ["training.parallel.devices=4"])
    with pytest.raises(ConfigError, match="would ignore seed"):
        export_weights(stopped, tmp_path / "w.safetensors", overrides="seed=2")


def test_comparison_goes_on_with_other_devices(tmp_path, fewer_devices):
    networks = {"one": {"seed": 1}}
    config = configured(VALUES | {"compare": {"networks": networks}}, training__num_steps=6)
    with pytest.raises(ConfigError, match="there are 2"):
        compare(config, tmp_path / "out")
    found = resume_comparison(tmp_path / "out", overrides="training.parallel.devices=1")
    assert set(found.networks) == {"one"}
    for name in networks:
        text = json.loads((tmp_path / "out/networks" / name / "run.json").read_text())
        assert text["kind"] == "run"
        assert read_experiment(tmp_path / "out/networks" / name / "config.yaml") is not None
