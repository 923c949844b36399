import re
import tomllib

import pytest
import yaml
from omegaconf import OmegaConf
from pages import OWN_PART, PAGES, ROOT, blocks_of

from odenet.experiment.config import parse_config, read_yaml
from odenet.part import plugin


def blocks(language):
    return [
        pytest.param(code, id=f"{path.stem}-{language}-{number}")
        for path in PAGES
        if path != OWN_PART
        for number, code in enumerate(blocks_of(path, language))
    ]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_block_is_an_experiment_or_fits_the_quickstart(text):
    values = yaml.safe_load(text)
    if "data" not in values:
        base = read_yaml(ROOT / "experiments" / "quickstart.yaml")
        values = OmegaConf.to_container(OmegaConf.merge(base, OmegaConf.create(text)))
    assert parse_config(values).model.is_classifier


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_every_block_has_a_language_that_is_tested():
    for path in PAGES:
        languages = re.findall(r"^```(\w*)\n.*?^```", path.read_text(), re.DOTALL | re.MULTILINE)
        assert set(languages) <= {"python", "yaml", "sh", "toml"}, path


def test_toml_blocks_name_the_entry_points_that_are_read():
    found = [tomllib.loads(text) for path in PAGES for text in blocks_of(path, "toml")]
    assert [set(one["project"]["entry-points"]) for one in found] == [{plugin.GROUP}]


def test_the_two_commands_stand_at_the_top_of_the_readme():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert lines[2:4] == ["```sh", lines[3]]
    assert lines[3].startswith("pip install -e . && odenet compare experiments/quickstart.yaml")
    assert lines[4].startswith("pip install -e '.[test]' && pytest")
