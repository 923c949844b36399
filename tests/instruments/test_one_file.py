"""An instrument costs one file: its command, help, JSON, report and page follow from it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from compilation import environment

import odenet

HERE = Path(__file__).parent
KEPT = {"__init__", "base", "every", "measurement", "table", "effective_depth", "seeds"}

EVERY_COMMAND = """
import contextlib, io, json, sys
from odenet.cli.main import main

def said(*words):
    out, sys.argv = io.StringIO(), ["odenet", "analyse", *words]
    with contextlib.redirect_stdout(out):
        try:
            main()
        except SystemExit as end:
            assert not end.code, (words, end.code)
    return out.getvalue()

path = sys.argv[1]
helps = said("--help")
assert "jax" not in sys.modules

from odenet.instruments import every

measure_all, measured = every.measure_all, []

def measure_once(*words, **options):
    measured.append(measured[0] if measured else measure_all(*words, **options))
    return measured[-1]

every.measure_all = measure_once
said_all = {
    "help": helps,
    "own help": said("demonstration", "--help"),
    "json": json.loads(said("demonstration", path, "--scale", "2", "--at", "start", "--json")),
    "all": json.loads(said("all", path, "--split", "test", "--json")),
    "all, read": said("all", path),
}
print(json.dumps(said_all))
"""


@pytest.fixture(scope="module")
def said(small_run, tmp_path_factory):
    """What every command says, of a package with one file more, and most instruments gone.

    `all` measures once, for its two forms of output.
    """
    folder = tmp_path_factory.mktemp("package")
    package = folder / "odenet"
    shutil.copytree(
        Path(odenet.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    for path in (package / "instruments").glob("*.py"):
        if path.stem not in KEPT:
            path.unlink()
    shutil.copy(HERE / "demonstration.py", package / "instruments")
    shutil.copytree(small_run, folder / "run")
    done = subprocess.run(
        [sys.executable, "-c", EVERY_COMMAND, folder / "run"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment(PYTHONPATH=str(folder), COLUMNS="100"),
    )
    assert done.returncode == 0, done.stderr
    return folder / "run", json.loads(done.stdout)


def test_help_shows_its_question_and_its_options(said):
    _, words = said
    assert "How far do the states of a network travel?" in words["help"]
    assert "gradient-flow " not in words["help"].replace("analyse gradient-flow", "")
    own = " ".join(words["own help"].split())
    for part in ("What distances are multiplied by.", "--split", "--at", "--data-dir", "--json"):
        assert part in own
    assert "[default: 1.0]" in own


def test_command_writes_what_it_measures(said):
    path, words = said
    found = words["json"]
    assert found["provenance"]["instrument"] == "demonstration"
    assert found["provenance"]["options"] == {"examples": 4, "scale": 2.0}
    assert (found["provenance"]["at"], found["provenance"]["step"]) == ("start", 0)
    assert Path(found["figure"]).read_bytes().startswith(b"\x89PNG")
    assert "Distance that states travel in every block" in (path / "report.html").read_text()


def test_all_measures_what_applies_and_says_why_the_others_do_not(said):
    path, words = said
    found = words["all"]
    assert set(found["results"]) == {"demonstration", "effective-depth"}
    assert found["results"]["demonstration"]["split"] == "test"
    assert "several runs" in found["not_applied"]["seeds"]
    assert "not measured: seeds: it compares several runs" in words["all, read"]
    assert "effective depth" in words["all, read"]
    depth = json.loads((path / "effective_depth.json").read_text())
    assert (depth["parameters"], depth["step"]) == ("last", 2)
    page = (path / "instruments.html").read_text()
    assert page.count("data:image/svg+xml") == 2
    for part in ("How far do the states", "states travel", "it compares several runs", "jax "):
        assert part in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
