"""Overrides of a trained network, and settings that a training does not follow."""

import json
import warnings

import jax
import pytest
from stored_runs import drawn_run
from tiny_experiment import classifier, configured, tiny
from user_settings import as_a_user

from odenet.errors import ConfigError, RunDirectoryError
from odenet.experiment.evaluate import evaluate
from odenet.experiment.ignored_settings import IgnoredPrecisionWarning, warn_of_ignored_precision
from odenet.reports.contents import read_contents
from odenet.training.callbacks import read_metrics


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "tiny"
    values = tiny(classifier(8, num_steps=8))
    values["description"] = r"costs \${5}"
    with as_a_user():
        return drawn_run(configured(values), directory)


REFUSED = {
    "model.block.num_steps=4": r"num_steps=4 changes the trained parameters.*\(params/blocks/0.* "
    r"is \(8, .*and \(4, .*odenet eval .*tiny --step-factor 0.5; .*odenet refine .*tiny --to 4",
    "model.block.num_steps=16": "--step-factor 2; .*--to 16",
    "model.stages.0.width=16": "width=16 changes the trained parameters.*odenet run .*config.yaml",
    "model.block.field.hidden=[3]": "hidden=.* changes the trained parameters",
    "model.head.norm=batch": "changes the trained parameters",
}


@pytest.mark.parametrize("override", REFUSED)
def test_override_that_changes_parameters_names_what_to_do(trained, override):
    with pytest.raises(ConfigError, match=REFUSED[override]) as caught:
        evaluate(trained, [override])
    assert "opt_state" not in str(caught.value)


def test_bare_kind_exchanges_the_integrator_of_a_run(trained):
    found = evaluate(trained, ["model.block.integrator=rk4"])
    assert found["nfe"] == 4 * evaluate(trained)["nfe"]


def test_report_shows_texts_without_their_escapes(trained):
    (trained / "metrics.jsonl").touch()
    assert read_contents(trained).config["description"] == "costs ${5}"
    (trained / "config.yaml").write_text(
        "name: 1e999\n"
    )  # as written before such texts were quoted
    assert read_contents(trained).config["name"] == "1e999"


@pytest.mark.parametrize("read", [read_metrics, read_contents])
def test_nested_json_is_refused(read, tmp_path):
    deep = "[" * 100_000
    for name in ("metrics.jsonl", "results.json"):
        (tmp_path / name).write_text(f"{deep}\n")
    (tmp_path / "config.yaml").write_text("name: x\n")
    path = tmp_path / "metrics.jsonl" if read is read_metrics else tmp_path
    with pytest.raises(RunDirectoryError):
        read(path)
    with pytest.raises(RecursionError):
        json.loads(deep)


def test_double_precision_is_not_silently_ignored():
    with jax.enable_x64(True), pytest.warns(IgnoredPrecisionWarning, match="single precision"):
        warn_of_ignored_precision()
    with jax.enable_x64(False), warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_ignored_precision()
