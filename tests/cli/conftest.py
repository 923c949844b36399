"""One small run and one small comparison, made once for all tests of the command line."""

import json
import shutil

import pytest
from commands import NETWORKS, QUICKSTART, SMALL, WAYS, answer, odenet
from once import made_once


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The quickstart in small, with its gradients watched; not to be changed."""

    def make(path):
        watched = "training.monitors=[{kind: gradient_flow, every: 10, num_examples: 32}]"
        answer("run", QUICKSTART, *SMALL, watched, "--out", path, "--json")

    return made_once(tmp_path_factory, "small_run", make)


@pytest.fixture(scope="module")
def trained(small_run, tmp_path_factory):
    """A copy of the small run for the tests of a file."""
    return shutil.copytree(small_run, tmp_path_factory.mktemp("trained") / "out")


@pytest.fixture(scope="session")
def small_comparison(tmp_path_factory):
    """A comparison of three networks in `out`, not to be changed, its `stdout` and `stderr`."""

    def make(path):
        networks = f"compare.networks={json.dumps(NETWORKS)}"
        ways = f"compare.evaluate={json.dumps(WAYS)}"
        path.mkdir()
        done = odenet("compare", QUICKSTART, *SMALL, networks, ways, "--out", path / "out")
        assert done.returncode == 0, done.stderr
        (path / "stdout").write_text(done.stdout)
        (path / "stderr").write_text(done.stderr)

    return made_once(tmp_path_factory, "small_comparison", make)


@pytest.fixture
def without_reports(monkeypatch):
    """No command draws a report, for tests of everything else that it does."""
    monkeypatch.setattr("odenet.cli.finish.write_report", lambda path: path / "report.html")


@pytest.fixture
def comparison_to_resume(small_comparison, tmp_path):
    """A copy of the small comparison that has not ended, and the rows that it had."""
    path = shutil.copytree(small_comparison / "out", tmp_path / "copy")
    rows = json.loads((path / "comparison.json").read_text())["rows"]
    (path / "comparison.json").unlink()
    return path, rows
