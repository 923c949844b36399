import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from odenet.experiment.config import parse_config, read_yaml
from odenet.part import plugin

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


RUN_BLOCKS = """
import json, sys
for number, code in enumerate(json.load(sys.stdin)):
    print(f"block {number} of the document:", file=sys.stderr)
    exec(compile(code, f"block {number}", "exec"), {"__name__": "__main__"})
"""


def blocks_of(path, language):
    fence = rf"^```{language}\n(.*?)^```"
    return re.findall(fence, path.read_text(), re.DOTALL | re.MULTILINE)


WITH_PARTS_OF_ITS_OWN = ROOT / "docs" / "own_part.md"
"""Run as a whole by `test_own_part.py`."""


def blocks(language):
    return [
        pytest.param(code, id=f"{path.stem}-{language}-{number}")
        for path in DOCUMENTS
        if path != WITH_PARTS_OF_ITS_OWN
        for number, code in enumerate(blocks_of(path, language))
    ]


@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if blocks_of(path, "python")],
    ids=lambda path: path.stem,
)
def test_python_blocks_run(path):
    """Each with names of its own, one after the other in one process without our settings."""
    done = subprocess.run(
        [sys.executable, "-c", RUN_BLOCKS],
        input=json.dumps(blocks_of(path, "python")),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_block_is_an_experiment_or_fits_the_quickstart(text):
    values = yaml.safe_load(text)
    if "data" not in values:
        base = read_yaml(ROOT / "experiments" / "quickstart.yaml")
        values = OmegaConf.to_container(OmegaConf.merge(base, OmegaConf.create(text)))
    assert parse_config(values).model.is_classifier


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks("sh"))
def test_commands_of_a_block_run(code, tmp_path):
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    # Set-up, checks and the two first commands are what .ci/run runs; the benchmarks take long.
    setup = re.compile(r"^(pip|pre-commit|ruff|pytest|python -m benchmarks)\b.*\n", re.MULTILINE)
    script = setup.sub("", code)
    if not script:
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_every_block_has_a_language_that_is_tested():
    for path in DOCUMENTS:
        languages = re.findall(r"^```(\w*)\n.*?^```", path.read_text(), re.DOTALL | re.MULTILINE)
        assert set(languages) <= {"python", "yaml", "sh", "toml"}, path


def test_toml_blocks_name_the_entry_points_that_are_read():
    found = [tomllib.loads(text) for path in DOCUMENTS for text in blocks_of(path, "toml")]
    assert [set(one["project"]["entry-points"]) for one in found] == [{plugin.GROUP}]


def test_the_two_commands_stand_at_the_top_of_the_readme():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert lines[2:4] == ["```sh", lines[3]]
    assert lines[3].startswith("pip install -e . && odenet compare experiments/quickstart.yaml")
    assert lines[4].startswith("pip install -e '.[test]' && pytest")


def test_public_names_are_all_there():
    code = "import odenet; [getattr(odenet, name) for name in odenet.__all__]; print('ok')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "ok", done.stderr
