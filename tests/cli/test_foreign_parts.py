"""Parts of a plug-in of every kind that `docs/own_part.md` does not walk through."""

import json
import math
from pathlib import Path

import pytest
from cli.commands import answer, odenet
from user_settings import as_a_user

from odenet import load, load_plugin
from odenet.part.plugin import isolated

PLUGIN = ("--plugin", Path(__file__).with_name("foreign_parts.py"))
EXPERIMENT = """
name: foreign
data: {kind: digits, validation: 100, test: 100}
model:
  kind: classifier
  stages: [{width: 6, projection: {kind: first_pixels}}]
  block: {num_steps: 2, step_sizes: {kind: decreasing}, weights: {kind: one_set}}
objective: {kind: squared_labels, regularisers: [{kind: size, weight: 0.01}]}
training:
  num_steps: 6
  batch_size: 16
  log_every: 2
  parallel: {devices: 1}
  optimizer: {kind: signs, learning_rate: 0.01, schedule: {kind: late, begin: 4}}
  monitors: [{kind: norm, every: 2}]
"""


@pytest.fixture(autouse=True)
def plugins_as_before():
    with isolated():
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "foreign.yaml").write_text(EXPERIMENT)
    with isolated():
        answer("run", folder / "foreign.yaml", *PLUGIN, "--out", folder / "run", "--json")
    return folder / "run"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_objective_and_regulariser_are_in_the_metrics(run):
    train = [record for record in lines(run / "metrics.jsonl") if record["split"] == "train"]
    assert [record["step"] for record in train] == [2, 4, 6]
    for record in train:
        assert min(record["largest"], record["size"]) > 0
        assert record["regularisation"] == pytest.approx(0.01 * record["size"], rel=1e-4)
        total = record["loss"] + record["penalty"] + record["regularisation"]
        assert record["objective"] == pytest.approx(total, rel=1e-5)


def test_monitor_sees_that_the_schedule_begins_late(run):
    norms = {record["step"]: record["norm"] for record in lines(run / "norm.jsonl")}
    assert list(norms) == [0, 2, 4, 6]
    assert norms[0] == norms[2] == norms[4] != norms[6]


def test_optimiser_moves_the_learned_step_size_by_the_learning_rate(run):
    with isolated(), as_a_user():
        load_plugin(PLUGIN[1])
        taus = load(run).taus[0]
    assert abs(math.log(taus[0])) == pytest.approx(0.02, rel=1e-4)  # steps 4 and 5, from 0
    assert taus[1] == pytest.approx(taus[0] / 2)


def test_other_commands_take_them(run):
    rk4 = "model.block.integrator=rk4"
    assert answer("eval", run, *PLUGIN, rk4, "--json")["largest"] > 0
    assert odenet("report", run, *PLUGIN).returncode == 0
    assert "squared_labels" in odenet("list", "objective", *PLUGIN).stdout


def test_a_run_without_its_plugin_names_the_file(run):
    without = odenet("eval", run)
    assert without.returncode == 2
    assert "foreign_parts.py" in without.stderr


@pytest.mark.product  # schedules of users are tested by tests/experiment, plug-ins by the others
def test_depth_schedule_changes_the_depth(tmp_path):
    path = tmp_path / "foreign.yaml"
    path.write_text(EXPERIMENT)
    changes = (
        "training.depth_schedule={kind: divide_once, step: 4}",
        "model.block.step_sizes={kind: fixed, horizon: 1.0}",
        "model.block.weights=per_layer",
    )
    answer("run", path, *PLUGIN, *changes, "--out", tmp_path / "run", "--json")
    with isolated(), as_a_user():
        load_plugin(PLUGIN[1])
        assert len(load(tmp_path / "run").taus[0]) == 4
