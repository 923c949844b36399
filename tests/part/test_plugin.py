import json
import sys
import textwrap

import pytest

from odenet import load_plugin
from odenet.cli.plugins import load_named
from odenet.errors import ConfigError, PluginError
from odenet.experiment.config import parse_config, read_experiment, to_yaml
from odenet.experiment.plugin_record import ChangedPluginWarning, recorded
from odenet.part.plugin import installed, isolated, loaded

VALUES = {"name": "a", "data": "digits", "model": {"kind": "classifier", "stages": [{"width": 8}]}}
SCHEDULE = """
from typing import Literal
from odenet.training.optimizer import LearningRateScheduleConfig


class WarmConfig(LearningRateScheduleConfig):
    kind: Literal["warm"] = "warm"
    factor: float = 1.0

    def build(self, num_steps):
        return lambda step: self.factor
"""
WARM = ["training.optimizer.schedule={kind: warm, factor: 0.5}"]


@pytest.fixture(autouse=True)
def plugins_as_before():
    with isolated():
        yield


def written(path, text=SCHEDULE):
    path.write_text(textwrap.dedent(text))
    return path


def test_a_file_gives_experiments_a_kind_and_says_what_it_is(tmp_path):
    with pytest.raises(
        ConfigError, match=r"schedule.kind=warm does not exist; valid: .*; --plugin FILE adds"
    ):
        parse_config(VALUES, WARM)
    plugin = load_plugin(written(tmp_path / "mine.py"))
    assert plugin.name == "mine.py"
    assert plugin.parts == ("schedule warm",)
    assert plugin.version is None
    assert len(plugin.sha256) == 64
    assert loaded() == (plugin,)
    assert parse_config(VALUES, WARM).training.optimizer.schedule.factor == 0.5  # pyright: ignore
    with pytest.raises(ConfigError, match=r"schedule.kind=warn does not exist; nearest: warm"):
        parse_config(VALUES, ["training.optimizer.schedule=warn"])


def test_a_changed_file_is_loaded_again_and_what_it_lost_is_gone(tmp_path):
    first = load_plugin(written(tmp_path / "mine.py"))
    assert load_plugin(tmp_path / "mine.py") is first
    second = load_plugin(written(tmp_path / "mine.py", SCHEDULE.replace("1.0", "3.0")))
    assert second.sha256 != first.sha256
    assert loaded() == (second,)
    config = parse_config(VALUES, ["training.optimizer.schedule=warm"])
    assert config.training.optimizer.schedule.factor == 3.0  # pyright: ignore
    written(tmp_path / "mine.py", SCHEDULE.replace("warm", "cold"))
    load_plugin(tmp_path / "mine.py")
    with pytest.raises(ConfigError, match=r"schedule.kind=warm does not exist"):
        parse_config(VALUES, ["training.optimizer.schedule=warm"])


BROKEN = {
    "syntax": ("x = 1\ndef f(:\n", "mine.py, line 2: invalid syntax"),
    "name": ("\n\nx = y\n", "mine.py, line 3: NameError: name 'y' is not defined"),
    "module": ("import nowhere_at_all\n", "mine.py, line 1: ModuleNotFoundError"),
    "no part": ("x = 1\n", "plug-in mine.py defines no part"),
    "contract": (SCHEDULE.replace("build", "make"), "kind 'warm' has no build; define the members"),
    "taken": (SCHEDULE.replace("warm", "cosine"), "two kinds of schedule are called 'cosine'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_an_error_with_its_line_and_leaves_nothing(tmp_path, case):
    text, message = BROKEN[case]
    modules = set(sys.modules)
    with pytest.raises(PluginError) as error:
        load_plugin(written(tmp_path / "mine.py", text))
    assert message in str(error.value)
    assert "mine.py" in str(error.value)
    assert loaded() == ()
    assert not [name for name in set(sys.modules) - modules if "mine" in name]
    with pytest.raises(ConfigError):
        parse_config(VALUES, WARM)


def test_two_files_with_one_kind_are_both_named(tmp_path):
    load_plugin(written(tmp_path / "one.py"))
    with pytest.raises(PluginError, match=r"called 'warm': WarmConfig in .*one\.py and .*two\.py"):
        load_plugin(written(tmp_path / "two.py"))


def test_what_is_missing_is_said_to_be(tmp_path):
    with pytest.raises(PluginError, match=r"there is no plug-in file .*none\.py"):
        load_plugin(tmp_path / "none.py")
    with pytest.raises(PluginError, match="no plug-in 'no_such_package': neither a file"):
        load_plugin("no_such_package")


def package(folder, monkeypatch):
    """An installed package whose entry point names the module with its parts."""
    (folder / "warm_parts").mkdir()
    (folder / "warm_parts" / "__init__.py").write_text("")
    written(folder / "warm_parts" / "parts.py")
    about = folder / "warm_parts-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: warm-parts\nVersion: 1.2\n")
    (about / "top_level.txt").write_text("warm_parts\n")
    (about / "entry_points.txt").write_text("[odenet.parts]\nwarm = warm_parts.parts\n")
    monkeypatch.syspath_prepend(folder)


@pytest.mark.parametrize("name", ["warm", "warm-parts", "warm_parts.parts"])
def test_an_installed_package_is_named_by_entry_point_distribution_or_module(
    tmp_path, monkeypatch, name
):
    package(tmp_path, monkeypatch)
    assert "warm" in installed()
    with pytest.raises(ConfigError, match=r"schedule.kind=warm does not exist"):
        parse_config(VALUES, WARM)  # an entry point is not loaded unless it is named
    assert "warm_parts" not in sys.modules
    try:
        plugin = load_plugin(name)
        assert (plugin.version, plugin.parts) == ("1.2", ("schedule warm",))
        assert parse_config(VALUES, WARM)
    finally:
        for module in ("warm_parts.parts", "warm_parts"):
            sys.modules.pop(module, None)


def test_the_command_line_gives_the_option_anywhere(tmp_path):
    file = str(written(tmp_path / "mine.py"))
    assert load_named(["run", "a.yaml", "--plugin", file, "-q"]) == ["run", "a.yaml", "-q"]
    assert load_named(["--plugin=" + file, "list"]) == ["list"]
    assert [plugin.name for plugin in loaded()] == ["mine.py"]
    assert load_named(["run", "--", "--plugin", "x"]) == ["run", "--", "--plugin", "x"]
    assert load_named(["run", "--plugin"]) == ["run", "--plugin"]  # whose value is missing


def run_directory(folder, file):
    load_plugin(file)
    folder.mkdir()
    (folder / "config.yaml").write_text(to_yaml(parse_config(VALUES, WARM)))
    (folder / "run.json").write_text(json.dumps({"kind": "run"} | recorded()))
    return folder / "config.yaml"


def test_a_run_that_is_read_without_its_plugin_says_which_one_to_give(tmp_path):
    file = written(tmp_path / "mine.py")
    with isolated():
        path = run_directory(tmp_path / "run", file)
        assert read_experiment(path).training.optimizer.schedule.factor == 0.5  # pyright: ignore
        sha256 = loaded()[0].sha256[:12]
    with pytest.raises(ConfigError) as error:
        read_experiment(path)
    assert "training.optimizer.schedule.kind=warm does not exist" in str(error.value)
    assert f"made with the plug-in mine.py (sha256 {sha256})" in str(error.value)
    assert f"give --plugin {file}" in str(error.value)
    assert loaded() == ()


def test_another_version_of_a_plugin_is_said_and_works(tmp_path):
    file = written(tmp_path / "mine.py")
    path = run_directory(tmp_path / "run", file)
    load_plugin(written(file, SCHEDULE + "\n# changed\n"))
    with pytest.warns(ChangedPluginWarning, match=r"another version of the plug-in mine\.py"):
        config = read_experiment(path)
    assert config.training.optimizer.schedule.factor == 0.5  # pyright: ignore
