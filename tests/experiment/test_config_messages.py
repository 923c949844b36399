"""What an experiment file or override is told that cannot be used."""

from pathlib import Path

import pytest

from odenet import DepthBlockConfig, parse_config
from odenet.errors import ConfigError
from odenet.experiment.config import load_config, override_pairs
from odenet.experiment.weight_map_file import load_weight_map
from odenet.models import ClassifierConfig
from odenet.training.optimizer import AdamWConfig

QUICKSTART = Path(__file__).parents[2] / "experiments" / "quickstart.yaml"
DIFFRAX = "model.block.integrator.kind=diffrax"

NO_NUMBERS = {
    "training.num_steps=yes": "num_steps: a number is needed; got true, a boolean",
    "training.optimizer.learning_rate=off": "learning_rate: a number is needed; got false",
    "model.block.step_sizes.taus=[1,1,1,1,1,1,1,on]": "taus.7: a number is needed; got true",
    "model.stages.0.width=true": "width: a number is needed; got true",
    "training.num_steps=010": "reads 010 as the octal number 8; write the intended number",
    "training.num_steps=0_17": "reads 0_17 as the octal number 15",
    "training.num_steps=10:30": "base-60 number 630.*'10:30' in quotes",
    "training.optimizer.learning_rate=1:30.5": "base-60 number 90.5",
    "training.num_steps=08": "got '08', which starts with 0; write 8",
    "training.num_steps='010'": "got '010', which starts with 0; write 10",
    "training.num_steps=1e999": "the number 1e999 is too large",
    "training.optimizer.learning_rate=1e-400": "the number 1e-400 is too small",
}
NO_TEXTS = {
    "name=no": "reads the boolean false there; put it in quotes: name: '...'",
    "name=1E5": "reads the number 100000.0 there; put it in quotes",
    "name=12": "reads the number 12 there; put it in quotes",
    "name=007": "octal number 7; .*'007' in quotes as text",
    "name=12e4567": "the number 12e4567 is too large; .*'12e4567' in quotes",
    "description=null": "reads nothing",
    "data={kind: npz, path: 1e5}": "data.path: .*put it in quotes: path: '...'",
}
DOLLARS = {
    "description=costs ${5 a day}": r"description: \$\{5 a day\} is no interpolation.*\\\$\{",
    "description=costs ${5}": r"description: .*'5' not found.*\\\$\{",
    "description=${": r"description: \$\{ is no interpolation",
    "name=${oc.env:HOME}": r"name: \$\{oc.env:HOME\} refers to an environment variable.*--env",
    "name=${oc.env:HOME,x}": "refers to an environment variable",
    "name=${oc.decode:1}": "is no interpolation",
    "name=${oc.env:${seed}}": "is no interpolation",
    "name=${${seed}:HOME}": "is no interpolation",
}
PLACES = {
    "integrator.kind=rk4": "unknown key integrator; it belongs to model.block.integrator$",
    "integrator=rk4": "unknown key integrator; it belongs to model.block.integrator$",
    "model.integrator.kind=rk4": "no integrator; it belongs to model.block.integrator$",
    "model.block.integrator={kind: diffrax, rtol: 1e-3}": (
        "kind=diffrax has no rtol; it belongs to model.block.integrator.controller.rtol$"
    ),
    "learning_rate=0.1": "it belongs to training.optimizer.learning_rate$",
    "training.learning_rate=0.1": "it belongs to training.optimizer.learning_rate$",
    "training.width=3": "it belongs to model.stages.0.width$",
    "integrater.kind=rk4": "nearest: model.block.integrator$",
    "model={kind: resnet, depth: 20, integrater: rk4}": "has no integrater; nearest: integrator",
}
SHAPES = {
    "model.stages={width: 4}": r"model.stages: a list is needed, such as \[\{width: 4\}\]; got",
    "model.stages=[]": "model.stages: at least 1 element is needed",
    "model=4": r"model: a mapping of options or one of its kinds \(classifier, regressor, resnet\)",
    "training=4": "training: a mapping of options is needed; got 4",
    "training.watch_test=3": "watch_test: true or false is needed; got 3",
    "model.stages.0.block={num_steps: 4}": "needs a `kind`, one of depth, feedforward, none$",
    "objective.regularisers=[{weight: 1}]": "0 needs a `kind`, one of jacobian, kinetic",
    "model.block.integrator=rk5": "integrator.kind=rk5 does not exist; nearest: rk4",
    "model.block+=3": r"model.block is a mapping, which is no list; set it with model.block=",
    "model.stages.1.width=3": "there is 1, counted from 0; to append.*=",
    "model.stages.x=3": "'x' is no position in a list of 1",
    "name.x=3": "name is 'quickstart', which has no x",
}
MESSAGES = NO_NUMBERS | NO_TEXTS | DOLLARS | PLACES | SHAPES


@pytest.mark.parametrize("override", MESSAGES)
def test_message_names_the_remedy(override):
    with pytest.raises(ConfigError, match=MESSAGES[override]) as caught:
        load_config(QUICKSTART, [override])
    assert len(str(caught.value)) < 600
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize("value", ["yes", "010", "10:30"])
def test_the_same_numbers_are_refused_in_files(value, tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text(QUICKSTART.read_text().replace("num_steps: 1200", f"num_steps: {value}"))
    with pytest.raises(ConfigError, match=r"num_steps: a number|line 20, column 14: YAML reads"):
        load_config(file)


def test_numbers_are_read_as_before():
    config = load_config(
        QUICKSTART,
        ["training.num_steps=1e3", "training.optimizer.learning_rate=1e-3", "seed=0x10",
         "training.batch_size='64'", "data.normalize=no"],
    )  # fmt: skip
    assert (config.training.num_steps, config.seed, config.training.batch_size) == (1000, 16, 64)
    assert config.training.optimizer.learning_rate == 1e-3
    assert config.data.normalize is False


@pytest.mark.parametrize("deep", ["[" * 1200 + "]" * 1200, "[" * 1200, "{a: " * 1200, "- " * 1200])
def test_nesting_without_end_is_refused(deep, tmp_path):
    file = tmp_path / "deep.yaml"
    file.write_text(f"name: x\ndata: \n {deep}\n")
    for read in (load_config, load_weight_map):
        with pytest.raises(ConfigError, match="nested in one another more than 100 deep"):
            read(file)
    if "- " not in deep:
        with pytest.raises(ConfigError, match="more than 100 deep"):
            load_config(QUICKSTART, [f"data={deep}"])


def test_nesting_without_end_is_refused_in_python():
    deep = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(ConfigError, match="the nesting is too deep"):
        parse_config({"name": "x", "data": deep})


def test_a_directory_says_what_can_be_done_with_it(tmp_path):
    with pytest.raises(ConfigError, match=r"is a directory, .*holds no .yaml file"):
        load_config(tmp_path)
    (tmp_path / "config.yaml").write_text("name: x\n")
    with pytest.raises(ConfigError, match=r"odenet resume .*odenet run .*config.yaml"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (DepthBlockConfig, {"field": object()}, r"^DepthBlockConfig: field: a mapping of options"),
        (DepthBlockConfig, {"field": "mpl"}, "field.kind=mpl does not exist; nearest: mlp"),
        (DepthBlockConfig, {"num_step": 3}, "unknown key num_step.*nearest: num_steps"),
        (DepthBlockConfig, {"num_steps": True}, "num_steps: a number is needed; got true"),
        (DepthBlockConfig, {"rtol": 1.0}, "it belongs to integrator.rtol"),
        (ClassifierConfig, {"stages": {"width": 4}}, "stages: a list is needed"),
        (AdamWConfig, {"b1": 2.0}, "b1: input should be less than 1; got 2.0"),
    ],
)
def test_configs_made_in_python_have_the_same_errors(config, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        config(**options)
    assert "errors.pydantic.dev" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("wrong", [["a"], "a", ["=3"]])
def test_override_of_another_form_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"an override is dotted.key=value"):
        override_pairs(wrong)
