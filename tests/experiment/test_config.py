import json
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from odenet.errors import ConfigError
from odenet.experiment.build import build
from odenet.experiment.catalogue import list_experiments, list_parts
from odenet.experiment.compare import networks_of
from odenet.experiment.config import (
    ExperimentConfig,
    json_schema,
    load_config,
    parse_config,
    read_experiment,
    to_yaml,
    variant,
)
from odenet.integrators import DiffraxConfig, ExplicitConfig

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.yaml"))
QUICKSTART = ROOT / "experiments" / "quickstart.yaml"


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_file_is_valid_and_names_its_schema(path):
    config = load_config(path)
    if config.compare is not None:
        assert networks_of(config).keys() == config.compare.networks.keys()
    first = path.read_text().splitlines()[0]
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / schema).resolve() == ROOT / "experiments" / "schema.json"


def test_the_committed_schema_is_the_one_of_the_models():
    assert (ROOT / "experiments" / "schema.json").read_text() == json_schema(), (
        "write it again: odenet schema --out experiments/schema.json"
    )


def test_schema_offers_the_kinds_and_forbids_unknown_keys():
    schema = json.loads(json_schema())
    kinds = schema["$defs"]["ExplicitConfig"]["properties"]["kind"]["enum"]
    assert "rk4" in kinds
    assert all(
        part["additionalProperties"] is False
        for part in schema["$defs"].values()
        if part.get("type") == "object"
    )


def test_one_override_makes_depth_continuous():
    assert isinstance(load_config(QUICKSTART).model.block.integrator, ExplicitConfig)
    config = load_config(QUICKSTART, ["model.block.integrator.kind=diffrax"])
    assert isinstance(config.model.block.integrator, DiffraxConfig)


def test_overrides_set_values_in_order_and_replace_mappings():
    config = load_config(
        QUICKSTART,
        [
            "training.num_steps=500",
            "training.num_steps=300",
            "training.log_every=10",
            "model.block.field={kind: mlp, hidden: [5]}",
            "model.stages.0.width=12",
        ],
    )
    assert config.training.num_steps == 300
    assert config.model.block.field.hidden == (5,)
    assert config.model.block.field.activation == "tanh"
    assert config.model.stages[0].width == 12


def test_resolved_file_reads_back_to_the_same_experiment(tmp_path):
    config = load_config(QUICKSTART, ["model.block.integrator.kind=diffrax"])
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert read_experiment(tmp_path / "config.yaml") == config
    assert (
        yaml.safe_load((tmp_path / "config.yaml").read_text())["model"]["block"]["integrator"][
            "solver"
        ]
        == "tsit5"
    )


def test_override_of_a_resolved_file_exchanges_a_part(tmp_path):
    (tmp_path / "config.yaml").write_text(to_yaml(load_config(QUICKSTART)))
    config = read_experiment(tmp_path / "config.yaml", [("model.block.integrator.kind", "diffrax")])
    assert isinstance(config.model.block.integrator, DiffraxConfig)


def test_choices_survive_a_variant_and_are_not_silently_dropped():
    config = load_config(QUICKSTART, ["model.block.integrator.remat=step"])
    assert variant(config, {"seed": 3}).model.block.integrator.remat == "step"
    with pytest.raises(ConfigError, match="kind=diffrax has no remat"):
        variant(config, {"model.block.integrator.kind": "diffrax"})


def test_a_config_survives_json():
    config = load_config(QUICKSTART)
    again = TypeAdapter(ExperimentConfig).validate_json(config.model_dump_json())
    assert again == config


BAD = {
    "model.block.integrator.kind=diffrx": "kind=diffrx does not exist; nearest: diffrax",
    "model.block.integrator.rtol=1e-3": r"kind=dopri5\|bosh3, as model.block.integrator.rtol",
    "model.block.integrator.icoeff=1": "as model.block.integrator.controller.icoeff",
    "training.num_step=3": "unknown key training.num_step; nearest: num_steps",
    "training.num_steps=three": "valid integer.*got 'three'",
    "training.batch_size=5000": "at most the 1257 training examples; got 5000",
    "model.stem.kind=identity": r"model.stem: .*\(8, 8, 1\).*width 64.*projection",
    "model.stages=[{width: 64},{width: 32}]": r"model.stages.1.projection: .*projection",
    "model.block.weights.num_layers=3": r"must divide num_steps=8; got 3; nearest: \[1, 2, 4\]",
    "model.block.field={kind: conv}": "conv acts on images.*stem of kind=conv",
    "model.block.step_sizes.taus=[1,2]": "num_steps is 8, got 2 values",
    "training.optimizer.b3=0.5": "adamw has no b3; nearest: b2, b1",
    "training.steps_per_dispatch=7": r"must divide .* got 7; nearest: \[2, 5, 10\]",
    "training.optimizer.step_sizes.weight_decay=1": "no step size is learned",
    "data.kind=peaks": None,
    "objective.kind=mean_squared_error": "does not fit model.kind=classifier; use cross_entropy",
    "seed=-1": "greater than or equal to 0; got -1",
    "=3": "an override is dotted.key=value",
    "data=[1,2": "the value is not YAML",
    "model.stages.7.width=3": "list index out of range",
    "model.block.integrator={kind: diffrax, solver: euler}": "no error estimate",
    "model.block.integrator={kind: diffrax, max_steps: 9, controller: {kind: constant}}": (
        "would ignore max_steps"
    ),
    "compare.evaluate.euler={integrator: {kind: diffrax}, step_factor: 2}": "ignore step_factor",
}


@pytest.mark.parametrize("override", BAD)
def test_bad_override_is_explained_in_a_few_lines(override):
    if BAD[override] is None:
        pytest.importorskip("sklearn")
        assert load_config(QUICKSTART, [override]).data.kind == "peaks"
        return
    with pytest.raises(ConfigError, match=BAD[override]) as caught:
        build(load_config(QUICKSTART, [override]))
    assert len(str(caught.value).splitlines()) <= 4


def test_yaml_that_does_not_parse_is_named_with_line_and_column(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("name: x\n  data: [\n")
    with pytest.raises(ConfigError, match=r"broken.yaml, line 2, column 7 is not YAML"):
        load_config(path)


def test_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "quickstart.yaml").write_text("name: x\n")
    with pytest.raises(ConfigError, match=r"no experiment file .*quikstart.yaml; nearest: .*quick"):
        load_config(tmp_path / "quikstart.yaml")


def test_several_mistakes_are_all_named():
    with pytest.raises(ConfigError) as caught:
        parse_config({"name": "x", "foo": 1, "model": {"kind": "classifier"}}, where="file.yaml")
    text = str(caught.value)
    assert "data is required" in text
    assert "model.stages is required" in text
    assert "unknown key foo" in text


def test_comparison_that_cannot_be_evaluated_is_refused_before_training():
    config = load_config(QUICKSTART, ["compare.evaluate.euler_half.step_factor=0.3"])
    with pytest.raises(ConfigError, match=r"compare.networks.euler: .*step_factor 3/10 of 8 steps"):
        networks_of(config)


def test_comparison_of_two_equations_is_refused_before_training():
    leapfrog = {"kind": "leapfrog"}
    config = load_config(QUICKSTART).model_dump()
    config["compare"]["evaluate"]["other"] = {"integrator": leapfrog}
    with pytest.raises(ConfigError, match=r"compare.networks.euler: .*within one equation"):
        networks_of(ExperimentConfig.model_validate(config))
    config = load_config(QUICKSTART).model_dump()
    config["compare"]["networks"] = {"second": {"model.block.integrator": leapfrog}}
    with pytest.raises(ConfigError, match=r"compare.networks.second: .*leave this network out"):
        networks_of(ExperimentConfig.model_validate(config))


def test_every_part_is_listed_with_its_options():
    parts = list_parts()
    assert {
        "data",
        "model",
        "field",
        "weights",
        "step_sizes",
        "integrator",
        "optimizer",
        "schedule",
        "parallel",
        "objective",
        "controller",
        "adjoint",
        "stem",
    } <= parts.keys()
    assert "diffrax" in parts["integrator"]
    names = {option["name"] for option in parts["integrator"]["diffrax"]}
    assert names == set(DiffraxConfig.model_fields) - {"kind"}


def test_experiments_are_listed_with_their_description():
    found = list_experiments(ROOT / "experiments")
    assert "Is this residual network an ODE?" in found[str(QUICKSTART)]
