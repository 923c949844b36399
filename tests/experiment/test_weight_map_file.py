import re

import pytest

from odenet.errors import ConfigError
from odenet.experiment.weight_map_file import load_weight_map
from odenet.models.pretrained import WeightEntry, WeightMap

KNOWN = WeightMap(
    (
        WeightEntry("layer2.0.conv1.weight", "blocks.1.kernel", "conv", 0),
        WeightEntry("layer2.1.conv1.weight", "blocks.1.kernel", "conv", 1),
        WeightEntry("fc.weight", "head.kernel", "linear"),
    )
)


def build(tmp_path, text):
    path = tmp_path / "names.yaml"
    path.write_text(text)
    return load_weight_map(path).build(KNOWN)


def test_rules_rename_a_known_naming(tmp_path):
    text = r"""
rename:
  - {known: '^layer(\d+)\.(\d+)\.', file: 'stage\1.unit\2.'}
  - {known: '^fc\.', file: 'classifier.'}
"""
    made = build(tmp_path, text)
    assert [entry.foreign for entry in made.entries] == [
        "stage2.unit0.conv1.weight",
        "stage2.unit1.conv1.weight",
        "classifier.weight",
    ]
    kept = [(entry.ours, entry.layout, entry.layer) for entry in made.entries]
    assert kept == [(entry.ours, entry.layout, entry.layer) for entry in KNOWN.entries]
    assert made.ignores("stage2.unit0.bn1.num_batches_tracked")


def test_entries_name_every_array(tmp_path):
    text = """
entries:
  - {foreign: 'unit{layer}.w', ours: blocks.0.kernel, layout: conv, num_layers: 2, first: 1}
  - {foreign: out.b, ours: head.bias}
ignored: [ema.*]
"""
    assert build(tmp_path, text) == WeightMap(
        (
            WeightEntry("unit1.w", "blocks.0.kernel", "conv", 0),
            WeightEntry("unit2.w", "blocks.0.kernel", "conv", 1),
            WeightEntry("out.b", "head.bias"),
        ),
        ("ema.*",),
    )


def test_layers_numbered_by_twos_and_one_without_a_number_are_named(tmp_path):
    text = """
entries:
  - {foreign: 'net.{layer}.w', ours: blocks.0.kernel, num_layers: 3, first: 1, every: 2}
  - {foreign: middle.w, ours: blocks.1.kernel, layer: 0}
"""
    assert build(tmp_path, text).entries == (
        WeightEntry("net.1.w", "blocks.0.kernel", "same", 0),
        WeightEntry("net.3.w", "blocks.0.kernel", "same", 1),
        WeightEntry("net.5.w", "blocks.0.kernel", "same", 2),
        WeightEntry("middle.w", "blocks.1.kernel", "same", 0),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[a]", "must hold a mapping with the keys rename or entries"),
        ("ignored: [a]", "give one of the two"),
        ("{rename: [{known: a, file: b}], entries: [{foreign: a, ours: b}]}", "one of the two"),
        ("renam: []", "unknown key renam; nearest: rename"),
        ("rename: [{known: '(', file: b}]", "is not a regular expression"),
        (r"rename: [{known: layer, file: '\1'}]", "cannot be done: invalid group reference"),
        ("entries: [{foreign: a, ours: b, layout: con}]", "nearest: conv"),
        ("entries: [{foreign: a, ours: b, num_layers: 2}]", "go together"),
        ("entries: [{foreign: 'a{layer}', ours: b}]", "go together"),
        ("entries: [{foreign: a, ours: b, first: 2}]", "first would be ignored"),
        ("entries: [{foreign: a, ours: b, every: 2}]", "every would be ignored"),
        ("entries: [{foreign: 'a{layer}', ours: b, num_layers: 2, layer: 0}]", "or num_layers"),
        ("rename: [{known: nothing, file: b}]", "'nothing' is in none of the 3"),
        ("entries: [{foreign: a}]", "entries.0.ours is required"),
        ("a: [", "is not YAML"),
    ],
)
def test_what_breaks_a_rule_is_refused(tmp_path, text, words):
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        build(tmp_path, text)
    assert "experiment" not in str(caught.value).replace(str(tmp_path), "")


def test_missing_file_is_told_by_what_it_is(tmp_path):
    with pytest.raises(ConfigError, match="no map of names"):
        load_weight_map(tmp_path / "none.yaml")
