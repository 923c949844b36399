"""Runs that end early: what their status says, and what a user is told to do."""

import json
import re
import shlex

import numpy as np
import pytest
from tiny_experiment import classifier, configured, tiny

import odenet
from odenet.cli.finish import show_evaluation
from odenet.cli.main import app
from odenet.errors import NonFiniteLoss, SolverFailure
from odenet.experiment.compare import compare
from odenet.experiment.config import load_config
from odenet.experiment.evaluate import evaluate
from odenet.experiment.run import load, resume, run
from odenet.training.callbacks import Callback, StopTraining
from odenet.training.interrupt import Interrupted

VALUES = tiny(
    classifier(4, num_steps=2, field={"kind": "mlp", "activation": "relu"}),
    num_steps=12,
    log_every=2,
    evaluate_every=6,
    checkpoint_every=2,
)
FAILURE = ("failed_stage", "failed_layer", "failed_time")


class RaiseAt(Callback):
    """Raises at an event, from a step on."""

    def __init__(self, error, event="log", step=6):
        self.error, self.step, self.when = error, step, frozenset({event})

    def __call__(self, info):
        if info.step >= self.step:
            raise self.error


def status(path):
    return json.loads((path / "status.json").read_text())


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "straight"
    run(configured(VALUES), path)
    return path


@pytest.mark.parametrize(
    "event",
    ["log", *(pytest.param(e, marks=pytest.mark.product) for e in ("evaluate", "checkpoint"))],
)
def test_callback_stops_a_run_that_is_saved_and_can_go_on(tmp_path, straight, event):
    path = tmp_path / "run"
    with pytest.raises(
        Interrupted, match=r"by a callback \(good enough\); saved at step"
    ) as caught:
        run(
            configured(VALUES), path, callbacks=[RaiseAt(odenet.StopTraining("good enough"), event)]
        )
    assert caught.value.resume_from == path
    found = status(path)
    assert found["state"] == "stopped"
    assert found["step"] == load(path)[1].step >= 6
    resume(path)
    assert status(path)["state"] == "complete"
    one, two = (load(folder)[1].state.params for folder in (path, straight))
    np.testing.assert_array_equal(one["head"]["linear"]["kernel"], two["head"]["linear"]["kernel"])


def test_callback_that_stops_before_the_first_step_leaves_step_0(tmp_path):
    with pytest.raises(Interrupted, match="saved at step 0 of 12"):
        run(configured(VALUES), tmp_path / "run", callbacks=[RaiseAt(StopTraining(), "start", 0)])
    assert status(tmp_path / "run")["step"] == 0


def test_any_other_exception_of_a_callback_is_passed_on_and_written_down(tmp_path):
    with pytest.raises(ZeroDivisionError):
        run(configured(VALUES), tmp_path / "run", callbacks=[RaiseAt(ZeroDivisionError("no"))])
    found = status(tmp_path / "run")
    assert found["state"] == "stopped"
    assert found["reason"] == "ZeroDivisionError: no"
    assert found["step"] >= 2


def test_diverged_run_names_a_command_that_goes_on_otherwise(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(NonFiniteLoss) as caught:
        run(configured(VALUES, training__optimizer={"kind": "sgd", "learning_rate": 1e20}), path)
    error = caught.value
    assert error.resume_from is None
    assert "odenet resume would stop there again" in error.instead
    assert "failed_layer" not in str(error)
    words = shlex.split(re.search(r"odenet run (.*)", error.instead)[1])
    assert words[-1] == "training.optimizer.learning_rate=1e+19"
    read = load_config(words[0], words[1:])  # the command can be read as it stands
    assert read.training.optimizer.learning_rate == 1e19
    assert (read.start is None) == ("step" not in status(path))


def test_failure_after_a_checkpoint_starts_from_its_weights(tmp_path, monkeypatch):
    path = tmp_path / "run"
    with pytest.raises(NonFiniteLoss) as caught:
        run(configured(VALUES), path, callbacks=[RaiseAt(NonFiniteLoss("made up"))])
    assert re.search(r"from the weights of step [2-6]: odenet run", caught.value.instead)
    words = shlex.split(re.search(r"odenet run (.*)", caught.value.instead)[1])
    monkeypatch.setattr("odenet.cli.finish.write_report", lambda path: path)
    new = str(tmp_path / "new")
    app(["run", *words, "training.num_steps=6", "--out", new, "--quiet"], standalone_mode=False)
    assert json.loads((tmp_path / "new" / "run.json").read_text())["start"]["run"] == str(path)


def test_failed_solver_and_comparison_say_what_to_change(tmp_path):
    integrator = {"kind": "dopri5", "max_steps": 1}
    config = configured(
        VALUES | {"compare": {"networks": {"one": {"model.block.integrator": integrator}}}}
    )
    with pytest.raises(SolverFailure) as caught:
        compare(config, tmp_path / "out")
    assert caught.value.resume_from is None
    assert "change network one in a copy of the experiment file" in caught.value.instead


def test_evaluation_shows_failures_only_where_there_are_some(straight, capsys):
    def shown(found, as_json=False):
        show_evaluation(found, as_json)
        return capsys.readouterr().out

    found = json.loads(shown(evaluate(straight), as_json=True))
    assert found["solver_ok"] == 1
    assert {name: found[name] for name in FAILURE} == dict.fromkeys(FAILURE)
    table = shown(found)
    assert "accuracy" in table
    assert not any(name in table for name in (*FAILURE, "solver_failure"))
    failed = evaluate(straight, ["model.block.integrator={kind: diffrax, max_steps: 1}"])
    assert failed["failed_layer"] == 0
    table = shown(failed)
    assert all(name in table for name in (*FAILURE, "solver_failure"))
