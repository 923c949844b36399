"""Measuring from Python: the envelope of results, and results of an earlier version."""

import json
import shutil
from pathlib import Path

import jax
import pytest
from user_settings import settings_of_a_user as settings_of_a_user

from odenet import __version__, load, write_report
from odenet.errors import ConfigError
from odenet.instruments import measure

BEFORE = Path(__file__).parent / "before"


@pytest.fixture(scope="module")
def trained(small_run, tmp_path_factory):
    return shutil.copytree(small_run, tmp_path_factory.mktemp("trained") / "run")


def test_envelope_says_what_was_looked_at_and_how(trained):
    overrides = ["model.block.integrator=rk4"]
    found = measure("stability", trained, overrides, at="start", examples=2, split="test")
    assert found["provenance"] == {
        "instrument": "stability",
        "options": {"examples": 2},
        "rule": "|R(tau lambda)| <= 1, Haber and Ruthotto 2017, arXiv:1705.03341",
        "directories": [str(trained)],
        "split": "test",
        "at": "start",
        "step": 0,
        "overrides": {"model.block.integrator": "rk4"},
        "odenet": __version__,
        "jax": jax.__version__,
    }
    keys = ("directory", "split", "parameters", "step")
    assert [found[key] for key in keys] == [str(trained), "test", "start", 0]
    assert json.loads((trained / "stability.json").read_text()) == found


def test_loaded_run_is_measured_with_its_own_weights(trained):
    loaded = load(trained)
    found = measure("trajectories", loaded, examples=3)
    assert found == measure("trajectories", trained, examples=3)
    written = (trained / "trajectories.json").read_text()
    longer = measure("trajectories", loaded.with_taus([1.0, 1.0]), examples=3)
    assert longer["blocks"][0]["times"] == [0, 1, 2]
    assert (trained / "trajectories.json").read_text() == written, "those are no steps of the run"
    with pytest.raises(ConfigError, match="a loaded run already has its weights and overrides"):
        measure("trajectories", loaded, at="start")


def test_one_run_and_several_are_not_taken_for_each_other(trained):
    with pytest.raises(ConfigError, match="measures on one run"):
        measure("stability", [trained])
    with pytest.raises(ConfigError, match="reads several run directories"):
        measure("seeds", trained)
    with pytest.raises(ConfigError, match="reads several run directories"):
        measure("seeds", [trained], at="start")
    assert measure("seeds", [trained])["provenance"]["directories"] == [str(trained)]


def test_run_is_loaded_at_its_start(trained):
    start = load(trained, which="start")
    assert start.step == 0
    assert "weights   start checkpoint, step 0 of 2" in repr(start)
    assert start.evaluate()["loss"] != load(trained).evaluate()["loss"]


def test_basis_measures_at_the_start_and_on_few_examples(trained):
    found = measure("basis", trained, at="start", examples=10, basis=["legendre"], num_basis=[1])
    assert (found["step"], found["checkpoint"]) == (0, "start")
    assert found["as_trained"]["accuracy"] * 10 == pytest.approx(
        round(found["as_trained"]["accuracy"] * 10), abs=1e-5
    )


@pytest.mark.filterwarnings("ignore::odenet.part.old_keys.OldKeyWarning")
def test_results_of_an_earlier_version_are_shown_and_compared(tmp_path, monkeypatch):
    monkeypatch.setattr("odenet.reports.html.svg", lambda figure: b"")  # it draws all once more
    path = tmp_path / "run"
    shutil.copytree(BEFORE, path)
    (path / "run.json").write_text('{"git_commit": null}')
    page = write_report(path).read_text()
    for part in ("functions of depth", "Error of the outputs", "time and memory of every gradient",
                 "scores without each", "singular values", "Paths of examples"):  # fmt: skip
        assert part in page
    scaling = measure("gradient-scaling", [path])
    assert scaling["networks"]["quickstart"]["first"]["verdict"] == "not judged: one depth"
    critical = measure("critical-step", [path])
    assert critical["seeds"][0]["trained"][0]["num_steps"] == 4
