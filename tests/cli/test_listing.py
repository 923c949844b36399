"""`odenet list`, `explain`, the help pages and `doctor`, at the widths of terminals."""

import json
import re

import pytest
from commands import odenet
from typer.testing import CliRunner

from odenet.cli.listing import FIRST_EXPERIMENT
from odenet.cli.main import app
from odenet.errors import ConfigError
from odenet.experiment.catalogue import list_parts
from odenet.experiment.config import load_config
from odenet.experiment.explain import explain_key
from odenet.instruments import names

RUNNER = CliRunner()
PARTS = list_parts()
LARGEST = ("training", "integrator")


def shown(*words, columns=80):
    done = RUNNER.invoke(app, list(words), env={"COLUMNS": str(columns), "TERM": "dumb"})
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(
    ("part", "columns"),
    [
        pytest.param(
            part, columns, marks=[pytest.mark.product] * (columns == 80 and part not in LARGEST)
        )
        for part in PARTS
        for columns in (80, 200)
    ],
)
def test_part_shows_its_options_whole_and_described(part, columns):
    text = shown("list", part, columns=columns)
    assert all(len(line) <= columns for line in text.splitlines())
    words = set(text.split())
    flat = " ".join(text.split())
    for kinds, options in PARTS[part].items():
        assert set(kinds.split()) <= words
        for option in options:
            assert option["name"] in words
            description = option["description"].split()
            assert set(description) <= words or columns == 80
            assert not description or description[0] in words
            assert option["default"] in flat or columns == 80


def test_every_section_is_a_part():
    assert {"training", "head", "augment", "penalty", "start", "compare", "stages"} <= PARTS.keys()
    described = [
        option for kinds in PARTS.values() for options in kinds.values() for option in options
        if option["description"]
    ]  # fmt: skip
    assert len(described) > 200


def test_overview_names_every_part_and_kind():
    for columns in (80, 200):
        words = set(shown("list", columns=columns).split())
        for part, kinds in PARTS.items():
            assert {part, *" ".join(kinds).split()} <= words


def test_outside_a_clone_the_list_says_how_to_begin(tmp_path):
    text = shown("list", "--experiments", str(tmp_path))
    assert "clone" in text
    assert "--experiments" in text
    for line in FIRST_EXPERIMENT.splitlines():
        assert line in text
    (tmp_path / "first.yaml").write_text(FIRST_EXPERIMENT)
    assert load_config(tmp_path / "first.yaml").model.stages[0].width == 64
    assert "first.yaml" in shown("list", "--experiments", str(tmp_path))


EXPLAINED = {
    "training.optimizer.warmup_steps": (
        "training.optimizer.warmup_steps", "whole number, at least 0; default 0",
        "rises linearly from 0", "training.optimizer.kind=adamw|optax|sgd",
    ),
    "warmup_steps": ("training.optimizer.warmup_steps", "kind=adamw|optax|sgd"),
    "model.stages.0.width": ("model.stages.width", "at least 1, at most 1000000; required"),
    "rtol": ("model.block.integrator.rtol", "number, above 0; default", "kind=dopri5|bosh3"),
    "diffrax": ("model.block.integrator.kind=diffrax", "controller"),
    "model.block.integrator.kind=rk4": ("model.block.integrator.kind=rk4", "remat"),
    "model.block.integrator.diffrax.controller.pid": ("controller.kind=pid", "icoeff"),
    "integrator": ("model.block.integrator", "euler", "default euler", "diffrax"),
    "training": ("num_steps", "Number of optimiser steps."),
    "model.kind": ("classifier", "resnet"),
    "kinetic": ("objective.regularisers.kind=kinetic", "weight"),
    "compare.evaluate.integrator": ("compare.evaluate.integrator", "default euler"),
}  # fmt: skip


@pytest.mark.parametrize("key", EXPLAINED)
def test_explain_says_what_a_key_is(key):
    flat = " ".join(shown("explain", key).split())
    for part in EXPLAINED[key]:
        assert part in flat
    assert json.loads(shown("explain", key, "--json"))["meanings"]


def test_explain_knows_every_option_that_is_listed():
    for part, kinds in PARTS.items():
        for joined, options in kinds.items():
            for kind in joined.split(" | "):
                for option in options:
                    assert explain_key(".".join(filter(None, (part, kind, option["name"]))))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("training.optimizer.warmup_step", "nearest: training.optimizer.warmup_steps"),
        ("diffrx", "nearest: model.block.integrator.kind=diffrax"),
        ("model.block.integratr", "nearest: model.block.integrator"),
        ("qqqqqq", "`odenet list` names the parts"),
    ],
)
def test_explain_names_the_nearest(key, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        explain_key(key)


def commands(group, path=()):
    for command in group.registered_commands:
        yield (*path, command.name)
    for inner in group.registered_groups:
        yield (*path, inner.name)
        yield from commands(inner.typer_instance, (*path, inner.name))


INSTRUMENTS = [("analyse", name) for name in names()]


@pytest.mark.parametrize("words", [*commands(app), *INSTRUMENTS], ids=" ".join)
def test_every_help_page_has_an_example_that_is_a_command(words):
    text = " ".join(shown(*words, "--help").split())
    example = re.search(r"Examples?: (odenet .*)", text)
    assert example is not None
    assert f"odenet {' '.join(words)}" in example[1]


def test_help_does_not_wait_for_jax():
    import subprocess
    import sys

    code = (
        "import sys; from typer.testing import CliRunner; from odenet.cli.main import app;"
        "r = CliRunner().invoke(app, ['explain', '--help']); assert r.exit_code == 0, r;"
        "assert not {'jax', 'numpy', 'omegaconf'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_doctor_says_how_to_get_what_is_missing(tmp_path):
    done = odenet("doctor", "--data-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("mnist", "fashion_mnist", "cifar10"):
        assert f"odenet data fetch {name} --data-dir {tmp_path}" in " ".join(done.stdout.split())
