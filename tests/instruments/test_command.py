"""The commands that are generated from instruments, without measuring anything."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from odenet.cli.analyse import RenamedOptionWarning
from odenet.cli.main import app
from odenet.cli.plugins import load_named
from odenet.errors import ConfigError
from odenet.part.plugin import isolated

RUNNER = CliRunner()


def refused(*words):
    """The error of a user that a command ends with."""
    done = RUNNER.invoke(app, ["analyse", *words])
    assert isinstance(done.exception, ConfigError), done.output
    return str(done.exception)


def test_value_out_of_range_is_refused_before_the_run_is_read():
    said = refused("effective-depth", "nowhere", "--threshold", "1")
    assert said.startswith("odenet analyse effective-depth: threshold: ")
    assert "above 0 and below 1; got 1.0" in said
    assert "at least one direction; got 0" in refused("gradient-audit", "no", "--directions", "0")


def test_old_name_of_at_is_read_with_a_warning():
    with pytest.warns(RenamedOptionWarning, match="an old spelling; write --at best"):
        refused("trajectories", "nowhere", "--checkpoint", "best", "--examples", "1")


def test_unknown_instrument_names_the_nearest():
    done = RUNNER.invoke(app, ["analyse", "stabilty", "nowhere"], env={"TERM": "dumb"})
    assert done.exit_code == 2
    assert "Did you mean 'stability'" in done.output


@pytest.mark.parametrize(
    ("name", "offered", "missing"),
    [
        ("stability", ("--split", "--at", "--examples", "--data-dir", "--json"), ("--figure",)),
        ("basis", ("--split", "--at", "--examples", "--num-basis"), ("--figure",)),
        ("seeds", ("--json", "RUN..."), ("--figure", "--at", "--split")),
        ("critical-step", ("--json", "--figure"), ("--at", "--split")),
    ],
)
def test_help_offers_what_the_instrument_has_a_use_for(name, offered, missing):
    done = RUNNER.invoke(app, ["analyse", name, "--help"], env={"TERM": "dumb", "COLUMNS": "200"})
    words = set(done.output.split())
    assert set(offered) <= words
    assert not set(missing) & words
    assert f"odenet analyse {name} runs/" in done.output


def test_instrument_of_a_plugin_is_a_command():
    path = Path(__file__).parent / "demonstration.py"
    with isolated():
        assert load_named(["analyse", "--plugin", str(path)]) == ["analyse"]
        environment = {"TERM": "dumb", "COLUMNS": "200"}
        listed = RUNNER.invoke(app, ["analyse", "--help"], env=environment).output
        own = RUNNER.invoke(app, ["analyse", "demonstration", "--help"], env=environment).output
    assert "demonstration" not in RUNNER.invoke(app, ["analyse", "--help"], env=environment).output
    assert "The distance between the first state and the last of every block." in listed
    assert "What distances are multiplied by." in own
    assert {"--scale", "--split", "--at", "--plugin"} <= set(own.split())
