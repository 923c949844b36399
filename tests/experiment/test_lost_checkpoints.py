"""Run directories with lost or damaged checkpoints: nothing is replaced, and a way on is said."""

import json
import re
import shlex
import shutil
from fractions import Fraction

import numpy as np
import pytest
from stopping import SignalAt
from tiny_experiment import classifier, configured, tiny

from odenet.cli.main import app
from odenet.errors import CheckpointError, OdenetError, RunDirectoryError
from odenet.experiment.build import build
from odenet.experiment.config import load_config
from odenet.experiment.continuation import BeginsAgainWarning, LostBestWarning
from odenet.experiment.import_weights import export_weights, import_weights
from odenet.experiment.refinement.prune import prune
from odenet.experiment.refinement.refine import refine
from odenet.experiment.run import load, resume, run
from odenet.experiment.source import beginning
from odenet.training.callbacks import Callback
from odenet.training.checkpoint import Checkpointer, steps_on_disk
from odenet.training.interrupt import Interrupted

LEARNED = {"kind": "learned", "parametrisation": "free"}
VALUES = tiny(
    classifier(4, num_steps=2, field={"kind": "mlp"}, step_sizes=LEARNED),
    num_steps=8,
    log_every=2,
    evaluate_every=4,
    optimizer={"kind": "sgd", "learning_rate": 0.05},
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run directory of every origin, each with a way to go on."""
    folder = tmp_path_factory.mktemp("runs")
    config = configured(VALUES)
    run(config, folder / "finished")
    with pytest.raises(Interrupted):
        run(config, folder / "stopped", callbacks=[SignalAt(6)])
    export_weights(folder / "finished", folder / "weights.safetensors")
    experiment = folder / "finished" / "config.yaml"
    import_weights(folder / "weights.safetensors", folder / "imported", None, experiment)
    refine(folder / "finished", Fraction(2), folder / "refined", num_steps=12)
    prune(folder / "finished", 0.99, folder / "pruned")
    return folder


@pytest.fixture
def copy(runs, tmp_path):
    def copied(name):
        return shutil.copytree(runs / name, tmp_path / name)

    return copied


def contents(path):
    """Every file that a run leaves, but for its lock."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != ".lock"
    }


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def half_written(folder):
    for step in steps_on_disk(folder):
        step.rename(folder / f".partial-{step.name}")


def empty_steps(folder):
    for step in steps_on_disk(folder):
        empty(step)


def manifests(text):
    def rewrite(folder):
        for step in steps_on_disk(folder):
            (step / "manifest.json").write_text(text)

    return rewrite


def without_arrays(folder):
    for step in steps_on_disk(folder):
        shutil.rmtree(step / "arrays")
        (step / "manifest.json").write_text(json.dumps({"extras.json": "0"}))


def stray_file(folder):
    empty(folder)
    (folder / "00000099").write_text("not a folder")


LOSSES = {
    "missing": shutil.rmtree,
    "empty": empty,
    "half written": half_written,
    "empty steps": empty_steps,
    "empty manifest": manifests("{}"),
    "manifest of another kind": manifests("[1]"),
    "manifest cut off": manifests('{"extras.json": "ab'),
    "no arrays": without_arrays,
    "stray file": stray_file,
}


NAMES = "finished", "stopped", "imported", "refined", "pruned"
CASES = [(name, "missing") for name in NAMES] + [("imported", loss) for loss in LOSSES]


@pytest.mark.parametrize(("name", "loss"), CASES)
def test_lost_last_is_refused_and_everything_stays(copy, name, loss):
    path = copy(name)
    LOSSES[loss](path / "checkpoints" / "last")
    before = contents(path)
    with pytest.raises(CheckpointError, match=r"last.*(exists|no checkpoint is left)") as caught:
        resume(path)
    assert contents(path) == before
    said = str(caught.value)
    assert ("--checkpoint best" in said) == (path / "checkpoints" / "best").exists()
    assert ("no checkpoint is left" in said) == (name in ("refined", "pruned"))


@pytest.mark.parametrize("name", ["finished", "imported", "refined"])
def test_run_without_any_checkpoint_is_not_begun_again(copy, name):
    path = copy(name)
    shutil.rmtree(path / "checkpoints")
    before = contents(path)
    with pytest.raises(CheckpointError, match=r"no checkpoint is left: restore .* from a copy"):
        resume(path)
    assert contents(path) == before
    with pytest.raises(CheckpointError, match=r"has no `last` checkpoint; no checkpoint is left"):
        load(path)


def test_evaluation_of_a_run_without_last_names_best(copy):
    path = copy("imported")
    shutil.rmtree(path / "checkpoints" / "last")
    with pytest.raises(CheckpointError, match=r"`best`, of step 0, exists") as caught:
        load(path)
    assert "run or resume it first" not in str(caught.value)
    assert load(path, which="best")[1].step == 0


def commands_in(message):
    """The commands that a message tells to run."""
    found = re.findall(r"odenet (eval|resume|run) (.*?)(?=\. |$)", message)
    return {name: shlex.split(words) for name, words in found}


def test_commands_that_the_refusal_names_go_on_from_the_weights_there(copy, monkeypatch):
    monkeypatch.setattr("odenet.cli.finish.write_report", lambda path: path)
    path = copy("imported")
    shutil.rmtree(path / "checkpoints" / "last")
    given = load(path, which="best")[1]
    with pytest.raises(CheckpointError) as caught:
        resume(path)
    words = commands_in(str(caught.value))
    assert set(words) == {"eval", "resume", "run"}
    config = load_config(words["run"][0], words["run"][1:])  # as `odenet run` reads it
    began = build(config, begin=beginning(config)).start.params["head"]["linear"]["kernel"]
    np.testing.assert_array_equal(began, given.state.params["head"]["linear"]["kernel"])
    app(["eval", *words["eval"], "--json"], standalone_mode=False)
    app(["resume", *words["resume"], "--quiet"], standalone_mode=False)
    assert load(path)[1].step == 8


def test_run_resumed_from_best_ends_as_it_would_have(copy, runs):
    path = copy("stopped")
    shutil.rmtree(path / "checkpoints" / "last")
    resume(path, which="best")
    (one, two) = (load(folder)[1] for folder in (path, runs / "finished"))
    assert one.extras == two.extras
    np.testing.assert_array_equal(
        one.state.params["head"]["linear"]["kernel"], two.state.params["head"]["linear"]["kernel"]
    )


def test_best_is_gone_on_from_only_where_last_is_lost(copy):
    path = copy("stopped")
    before = contents(path)
    with pytest.raises(RunDirectoryError, match="only if `last` is lost"):
        resume(path, which="best")
    assert contents(path) == before


def test_imported_weights_outlive_the_training_that_goes_on_from_them(copy):
    path = copy("imported")
    given = load(path)[1].state.params["head"]["linear"]["kernel"]
    for start in (None, path / "checkpoints" / "start"):
        if start is not None:  # as directories of earlier versions are
            path = shutil.copytree(path, path.with_name("again"))
        trained = resume(path) if start is None else None
        if trained is not None:
            assert np.any(trained.state.params["head"]["linear"]["kernel"] != given)
        kept = Checkpointer(path / "checkpoints").read("start")
        np.testing.assert_array_equal(kept.state["params/head/linear/kernel"], given)
        began = load(path)[0].start.params["head"]["linear"]["kernel"]
        np.testing.assert_array_equal(began, given)


def test_lost_best_is_made_again_from_the_same_step(copy, runs):
    path = copy("stopped")
    step = load(path)[1].step
    best = load(path, which="best")[1].step
    shutil.rmtree(path / "checkpoints" / "best")
    if best == step:
        resume(path)
        assert load(path, which="best")[1].step in (best, 8)
    else:
        with pytest.warns(LostBestWarning, match=f"`best` checkpoint, of step {best}"):
            resume(path)
        assert load(path, which="best")[1].step == 8


def test_run_stopped_before_its_first_checkpoint_begins_again(copy, runs):
    path = copy("stopped")
    shutil.rmtree(path / "checkpoints")
    (path / "status.json").write_text('{"state": "running", "step": 0}')
    with pytest.warns(BeginsAgainWarning, match="starts again at step 0"):
        resume(path)
    assert load(path)[1].extras == load(runs / "finished")[1].extras


def test_last_is_there_as_soon_as_best_is(tmp_path):
    seen = []

    class Look(Callback):
        when = frozenset({"checkpoint"})

        def __call__(self, info):
            seen.append(info.step)

    config = configured(VALUES, training__checkpoint_every=8)
    run(config, tmp_path / "run", callbacks=[Look()])
    assert seen[:2] == [4, 4]
    assert [int(folder.name) for folder in steps_on_disk(tmp_path / "run/checkpoints/last")] == [
        8,
        4,
    ]


def test_config_shortened_below_the_checkpoint_is_refused(copy):
    path = copy("stopped")
    text = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(text.replace("num_steps: 8", "num_steps: 4"))
    with pytest.raises(OdenetError, match=r"beyond the 4 of training\.num_steps"):
        resume(path)
