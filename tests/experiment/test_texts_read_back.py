"""What is written to a run directory reads back equal, for every text."""

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from odenet.data.npz import NpzConfig
from odenet.errors import ConfigError
from odenet.experiment.config import (
    load_config,
    parse_config,
    read_experiment,
    to_values,
    to_yaml,
    variant,
)
from odenet.experiment.interpolation import escaped

SPECIAL = ("1e5", "5e17", "12e4567", "1e-3", "1.e3", "0x1F", "0b1", "0o17", "007", "08", "10:30",
           "1:30.5", "1_000", "no", "Yes", "off", "null", "~", "true", "2020-01-01", ".inf", "-.5",
           "+1", ".nan", "1E5", "<<", "=", "???")  # fmt: skip
TEXTS = ("costs ${5}", "see ${data.kind}", r"\${x}", r"\\${x}", "${", "a: b", "# x", "- x", "'",
         '"', "\n", "a\n b\n", " x ", "", "{", "[1", "&a", "*a", "!x", "%", "@", "\t", "\x85",
         "\ufeff", "\u2028x", "\U0001f600", "\\", "a #b", "|", ">", "? x")  # fmt: skip

names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._+-]{0,8}\Z").filter(lambda name: "+" not in name)
numerals = st.from_regex(r"\A[0-9][0-9._eE-]{0,7}\Z")
pieces = st.sampled_from([*SPECIAL, *TEXTS, "$", "{", "}", "\\", "$" + "{"])
texts = st.one_of(st.text(), st.lists(pieces, max_size=5).map("".join), numerals)


def experiment(name="x", description="", path="own.npz", network="a"):
    return parse_config(
        escaped(
            {
                "name": name,
                "description": description,
                "data": {"kind": "npz", "path": path or "p"},
                "model": {"kind": "classifier", "stages": [{"width": 4}]},
                "start": {"run": path or "p"},
                "compare": {"networks": {network: {"description": description}}},
            }
        )
    )


NAMES = [text for text in SPECIAL if text[0].isalnum() and ":" not in text]


def special_texts(test):
    """Every special text in an explicit example, two texts in each."""
    special = [*SPECIAL, *TEXTS]
    half = len(special) // 2
    assert set(NAMES) <= set(special[: len(special) - half])
    for number, text in enumerate(special[: len(special) - half]):
        name = text if text in NAMES else "x"
        other = special[(number + half) % len(special)]
        test = example(name=name, network=name, description=text, path=other)(test)
    return test


@special_texts
@given(name=st.one_of(names, numerals), description=texts, path=texts,
       network=st.one_of(names, numerals))  # fmt: skip
@settings(deadline=None, max_examples=40, database=None)
def test_every_text_of_an_experiment_reads_back_equal(
    name, description, path, network, tmp_path_factory
):
    config = experiment(name, description, path, network)
    assert (config.name, config.description) == (name, description)
    assert list(config.compare.networks) == [network]
    assert config.compare.networks[network] == {"description": description}
    file = tmp_path_factory.getbasetemp() / "config.yaml"
    file.write_text(to_yaml(config))
    assert load_config(file) == config
    assert read_experiment(file) == config
    assert parse_config(to_values(config)) == config
    assert variant(config, {"seed": 1}).description == description


@pytest.mark.parametrize("text", ["1e5", "12e4567", "costs ${5}", "a \\${x}"])
def test_directories_written_before_texts_were_quoted_can_be_read(tmp_path, text):
    values = experiment(description="x").model_dump(mode="json", exclude_none=True)
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(values | {"description": text}, sort_keys=False, width=100))
    if text != "a \\${x}":  # no file says whether this was written before or after
        assert read_experiment(file).description == text


def test_a_damaged_directory_still_says_what_is_wrong(tmp_path):
    (tmp_path / "config.yaml").write_text("name: 1e5\nmodel: {kind: classifer}\n")
    with pytest.raises(ConfigError, match="kind=classifer does not exist; nearest: classifier"):
        read_experiment(tmp_path / "config.yaml")


def test_a_value_of_the_environment_is_written_out(tmp_path, monkeypatch):
    monkeypatch.setenv("WHERE", "a${b}/no")
    file = tmp_path / "x.yaml"
    file.write_text(
        "name: x\ndata: {kind: npz, path: '${oc.env:WHERE}'}\n"
        "model: {kind: classifier, stages: [{width: 4}]}\n"
    )
    with pytest.raises(ConfigError, match=r"data.path: .*environment.*--env"):
        load_config(file)
    config = load_config(file, environment=True)
    assert isinstance(config.data, NpzConfig)
    assert config.data.path == "a${b}/no"
    monkeypatch.delenv("WHERE")
    file.write_text(to_yaml(config))
    assert load_config(file) == config
