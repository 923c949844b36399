"""Run directories of an earlier version: they are read, evaluated, resumed and reported."""

import json
import tarfile
from pathlib import Path

import pytest
from user_settings import as_a_user
from user_settings import settings_of_a_user as settings_of_a_user

import odenet
from odenet.experiment.directory import read_json
from odenet.reports import write_report
from odenet.training.callbacks import read_metrics

KEPT = Path(__file__).parents[1] / "old_runs"
pytestmark = pytest.mark.filterwarnings("ignore:.*an old spelling")
EXPECTED = json.loads((KEPT / "expected.json").read_text())


@pytest.fixture(scope="module", params=EXPECTED)
def old(request, tmp_path_factory):
    """A run directory as it was written."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(KEPT / f"{request.param}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / request.param


@pytest.fixture(scope="module")
def evaluated(old):
    with as_a_user():
        return odenet.evaluate(old)


@pytest.fixture(scope="module")
def resumed(old):
    """The same directory once it is trained to the end; an evaluation comes before."""
    with as_a_user():
        return odenet.resume(old)


def of_old_runs(*names):
    """All old runs, those that are not named as `product`."""
    runs = [pytest.param(n, marks=[pytest.mark.product] * (n not in names)) for n in EXPECTED]
    return pytest.mark.parametrize("old", runs, indirect=True)


def close(found, expected):
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=2e-4, abs=1e-6), name


@of_old_runs("learned_tau_pruning")  # a resumed run is evaluated at its end
def test_an_old_run_is_evaluated_to_the_same_numbers(old, evaluated):
    close(evaluated, EXPECTED[old.name]["evaluated"])


def test_an_old_run_is_resumed_to_the_same_numbers(old, resumed):
    expected = dict(EXPECTED[old.name]["resumed"])
    taus = expected.pop("taus")
    results = read_json(old / "results.json")
    close(results | results["test"], expected)
    assert [len(block) for block in results["taus"]] == [len(block) for block in taus]
    for block, values in zip(results["taus"], taus, strict=True):
        assert block == pytest.approx(values, rel=2e-4)
    assert resumed.results["step"] == 24


def test_what_monitors_wrote_goes_on_after_an_old_run_is_resumed(old, resumed):
    del resumed
    for name in ("gradient_flow.jsonl", "stability.jsonl"):
        if old.name == "residual_batch_norm":
            assert [record["step"] for record in read_metrics(old / name)] == [0, 8, 16, 24]
        else:
            assert not (old / name).exists()


@of_old_runs("residual_batch_norm", "learned_tau_pruning")  # tests/instruments has the others
def test_what_old_instruments_wrote_is_in_the_report(old, resumed, monkeypatch):
    del resumed
    monkeypatch.setattr("odenet.reports.html.svg", lambda figure: b"")  # it draws all once more
    write_report(old)
    figures = {path.stem for path in (old / "figures").iterdir()}
    written = {path.stem for path in old.glob("*.json")}
    instruments = written - {"run", "status", "results", "levels", "basis"}
    assert (
        instruments
        == {
            "residual_batch_norm": {"gradient_flow", "stability"},
            "learned_tau_pruning": {"effective_depth"},
            "diffrax_solve": {"convergence", "trajectories"},
        }[old.name]
    )
    assert instruments <= figures
