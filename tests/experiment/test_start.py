"""An experiment that starts from another run."""

import functools
import json
import shutil

import jax
import numpy as np
import pytest
from stored_runs import drawn_run, stored
from tiny_experiment import classifier, configured, tiny

from odenet.errors import CheckpointError, ConfigError, RunDirectoryError
from odenet.experiment.build import build
from odenet.experiment.compare import compare
from odenet.experiment.continuation import BeginsAgainWarning
from odenet.experiment.evaluate import evaluate
from odenet.experiment.run import load, resume, run
from odenet.experiment.source import beginning
from odenet.training.callbacks import Callback
from odenet.training.checkpoint import Checkpointer, named

VALUES = tiny(
    classifier(8, num_steps=3),
    num_steps=4,
    log_every=1,
    evaluate_every=2,
    checkpoint_every=4,
    steps_per_dispatch=1,
)
configure = functools.partial(configured, VALUES)
LEARNED = {"num_steps": 3, "step_sizes": {"kind": "learned"}}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "run"
    run(configure(name="first"), path)
    return path


@pytest.fixture(scope="module")
def learned_source(tmp_path_factory):
    path = tmp_path_factory.mktemp("learned") / "run"
    return drawn_run(configure(model__block=LEARNED), path)


@pytest.fixture(scope="module")
def continued(source, tmp_path_factory):
    """A run that starts from all weights of another."""
    path = tmp_path_factory.mktemp("continued") / "run"
    run(configure(start={"run": str(source)}), path)
    return path


def params_of(arrays):
    return {path: leaf for path, leaf in arrays.items() if path.startswith("params/")}


def test_run_begins_with_the_bytes_of_the_source_and_says_so(source, tmp_path):
    run(configure(start={"run": str(source), "last": "reinitialise"}, seed=5), tmp_path / "run")
    there, began = params_of(stored(source)), params_of(stored(tmp_path / "run", "start"))
    initialised = named({"params": build(configure(seed=5)).start.params})
    assert began.keys() == there.keys()
    for path, leaf in began.items():
        expected = initialised[path] if "head" in path else there[path]
        np.testing.assert_array_equal(leaf, expected, err_msg=path)
    record = json.loads((tmp_path / "run" / "run.json").read_text())["start"]
    assert (record["run"], record["name"]) == (str(source), "first")
    assert (record["checkpoint"], record["step"], len(record["sha256"])) == ("last", 4, 64)
    assert record["new"] == ["params/head/linear/bias", "params/head/linear/kernel"]
    assert sorted(record["transferred"] + record["new"]) == sorted(there)
    experiment, _ = load(tmp_path / "run")
    for path, leaf in named({"params": experiment.start.params}).items():
        np.testing.assert_array_equal(leaf, began[path])
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(experiment.start.opt_state))


def test_best_checkpoint_is_another_one(source, tmp_path):
    path = shutil.copytree(source, tmp_path / "source")
    best = {name: leaf + np.ones_like(leaf) for name, leaf in params_of(stored(path)).items()}
    shutil.rmtree(path / "checkpoints" / "best")
    checkpointer = Checkpointer(path / "checkpoints")
    checkpointer.save("best", 2, best, {})
    checkpointer.close()
    config = configure(start={"run": str(path), "checkpoint": "best"})
    experiment = build(config, begin=beginning(config))
    assert (experiment.origin.checkpoint, experiment.origin.step) == ("best", 2)
    for name, leaf in named({"params": experiment.start.params}).items():
        np.testing.assert_array_equal(leaf, best[name])


class StopAt(Callback):
    """Ends the process's run as a kill would, without a checkpoint."""

    when = frozenset({"log"})

    def __init__(self, step):
        self.step = step

    def __call__(self, info):
        if info.step == self.step:
            raise KeyboardInterrupt


def test_run_goes_on_without_its_source_bit_for_bit(source, tmp_path):
    moved = tmp_path / "source"
    shutil.copytree(source, moved)
    config = configure(
        start={"run": str(moved), "last": "reinitialise"},
        training__optimizer={"transferred": {"learning_rate_factor": 0.1, "unfreeze_at": 2}},
    )
    run(config, tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "killed", callbacks=[StopAt(1)])
    assert not (tmp_path / "killed" / "checkpoints" / "last").exists()
    shutil.rmtree(moved)
    with pytest.warns(BeginsAgainWarning):
        resume(tmp_path / "killed")
    one, other = stored(tmp_path / "straight"), stored(tmp_path / "killed")
    for path, leaf in one.items():
        np.testing.assert_array_equal(leaf, other[path], err_msg=path)
    results = json.loads((tmp_path / "straight" / "results.json").read_text())
    assert evaluate(tmp_path / "killed")["loss"] == results["test"]["loss"]
    with pytest.raises(RunDirectoryError, match=r"does not exist .*moved or removed"):
        run(config, tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    "parallel",
    [
        pytest.param({"devices": 1}, marks=pytest.mark.product),
        {"kind": "pmap", "devices": 2},
    ],
)
def test_transferred_layers_wait_for_a_step_inside_a_dispatch(source, tmp_path, parallel):
    config = configure(
        start={"run": str(source), "last": "reinitialise"},
        training__parallel=parallel,
        training__log_every=2,
        training__steps_per_dispatch=2,
        training__checkpoint_every=2,
        training__optimizer={"weight_decay": 0.1, "transferred": {"unfreeze_at": 3}},
    )
    run(config, tmp_path / "run")
    kernel = "params/projections/0/operation/linear/kernel"
    there, after = stored(source)[kernel], stored(tmp_path / "run")
    assert np.any(after[kernel] != there)
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "last" / "00000004")
    before, began = stored(tmp_path / "run"), stored(tmp_path / "run", "start")
    np.testing.assert_array_equal(before[kernel], there)
    assert np.any(before["params/head/linear/kernel"] != began["params/head/linear/kernel"])


def test_step_sizes_alone_are_tuned_after_a_run_with_fixed_ones(source, tmp_path):
    config = configure(
        model__block=LEARNED,
        start={"run": str(source)},
        training__optimizer={"kind": "sgd", "learning_rate": 0.1, "only": "step_sizes"},
    )
    run(config, tmp_path / "run")
    there, after = params_of(stored(source)), params_of(stored(tmp_path / "run"))
    tau = "params/blocks/0/step_sizes/raw"
    assert after.keys() - there.keys() == {tau}
    assert np.all(after[tau] != 1)
    for path, leaf in there.items():
        np.testing.assert_array_equal(leaf, after[path], err_msg=path)
    np.testing.assert_array_equal(stored(tmp_path / "run", "start")[tau], 1)


@pytest.mark.parametrize(
    ("block", "rule"),
    [
        ({"num_steps": 3}, "learned there and are fixed here"),
        (
            LEARNED | {"step_sizes": {"kind": "learned", "parametrisation": "positive"}},
            "free there and positive here.*step_sizes.parametrisation=free",
        ),
        (LEARNED | {"integrator": {"kind": "leapfrog"}}, r"model.stages.0: .*h''"),
    ],
)
def test_weights_are_not_given_another_meaning(learned_source, tmp_path, block, rule):
    config = configure(model__block=block, start={"run": str(learned_source)})
    with pytest.raises(ConfigError, match=rule):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_simplex_keeps_its_horizon(tmp_path):
    simplex = {"kind": "learned", "parametrisation": "simplex"}
    drawn_run(configure(model__block={"num_steps": 3, "step_sizes": simplex}), tmp_path / "source")
    other = {"num_steps": 3, "step_sizes": simplex | {"horizon": 2.0}}
    config = configure(model__block=other, start={"run": str(tmp_path / "source")})
    with pytest.raises(ConfigError, match=r"sum to 3.* there and to 2.0 here.*horizon=3"):
        run(config, tmp_path / "run")


def test_what_does_not_fit_names_the_source_before_a_directory_is_made(source, tmp_path):
    config = configure(start={"run": str(source)}, model__stages=[{"width": 9}])
    with pytest.raises(ConfigError, match=f"start.run={source} does not fit: .*config.yaml"):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_directories_that_hold_no_weights_are_refused(source, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunDirectoryError, match="is no run directory"):
        run(configure(start={"run": str(tmp_path / "empty")}), tmp_path / "run")
    shutil.copytree(source, tmp_path / "begun")
    shutil.rmtree(tmp_path / "begun" / "checkpoints")
    with pytest.raises(CheckpointError, match="has no `last` checkpoint; no checkpoint is left"):
        run(configure(start={"run": str(tmp_path / "begun")}), tmp_path / "run")
    record = json.loads((source / "run.json").read_text()) | {"kind": "compare"}
    (tmp_path / "begun" / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunDirectoryError, match="is a comparison; name one of its networks"):
        run(configure(start={"run": str(tmp_path / "begun")}), tmp_path / "run")


def test_a_comparison_looks_for_the_sources_of_all_its_networks_first(source, tmp_path):
    section = {
        "networks": {"one": {}, "two": {"start": {"run": str(tmp_path / "nowhere")}}},
        "evaluate": {"rk4": {"integrator": {"kind": "rk4"}}},
    }
    with pytest.raises(RunDirectoryError, match="nowhere does not exist"):
        compare(configure(start={"run": str(source)}, compare=section), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_options_for_what_was_transferred_need_a_start():
    with pytest.raises(ConfigError, match="transferred would be ignored: without `start`"):
        configure(training__optimizer={"transferred": {"unfreeze_at": 2}})


def test_lost_record_or_start_is_named(continued, tmp_path):
    path = shutil.copytree(continued, tmp_path / "run")
    shutil.rmtree(path / "checkpoints" / "start")
    with pytest.raises(CheckpointError, match="has no start checkpoint"):
        load(path)
    record = json.loads((path / "run.json").read_text())
    del record["start"]
    (path / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunDirectoryError, match="does not record the source of the first weights"):
        load(path)


def test_directory_of_a_run_that_was_killed_before_it_began_is_used_again(
    source, continued, tmp_path
):
    checkpoints = tmp_path / "run" / "checkpoints"
    shutil.copytree(continued / "checkpoints" / "start", checkpoints / "start")
    run(configure(start={"run": str(source)}), tmp_path / "run")
    assert evaluate(tmp_path / "run")["loss"] == evaluate(continued)["loss"]


def test_build_by_itself_does_not_draw_what_comes_from_elsewhere(source):
    with pytest.raises(ConfigError, match="train it by run"):
        build(configure(start={"run": str(source)}))
