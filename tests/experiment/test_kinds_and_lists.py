"""Parts by their bare kind, a `kind` changed, lists extended."""

import json
from pathlib import Path

import pytest

from odenet import ClassifierConfig, DepthBlockConfig, parse_config
from odenet.errors import ConfigError
from odenet.experiment.config import (
    ExperimentConfig,
    json_schema,
    load_config,
    read_experiment,
    resolved,
    to_yaml,
    variant,
)
from odenet.integrators import DiffraxConfig
from odenet.part.kinds import direct_parts, element, item, kinds_of

QUICKSTART = Path(__file__).parents[2] / "experiments" / "quickstart.yaml"


def unions(model, seen=()):
    """Every option that is chosen by `kind`: the model that has it, its name, its parts."""
    if model in seen:
        return
    for name, field in model.model_fields.items():
        annotation = field.annotation
        for inner in (annotation, element(annotation), item(annotation)):
            parts = [] if inner is None else direct_parts(inner)
            if any(map(kinds_of, parts)):
                yield model, name, annotation, parts
            for part in parts:
                yield from unions(part, (*seen, model))


UNIONS = {(model, name): found for model, name, *found in unions(ExperimentConfig)}


@pytest.mark.parametrize(
    ("model", "name"), UNIONS, ids=lambda value: getattr(value, "__name__", value)
)
def test_bare_kind_is_short_for_the_part(model, name):
    annotation, parts = UNIONS[model, name]
    for part in parts:
        for kind in kinds_of(part):
            bare, whole = kind, {"kind": kind}
            if not direct_parts(annotation):
                bare, whole = [bare], [whole]
            spelt = model._as_written({name: bare})[name]
            assert spelt == whole


def test_bare_kinds_in_files_overrides_and_python(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text(
        "name: x\ndata: digits\ntraining: {optimizer: adamw}\nobjective: cross_entropy\n"
        "model: {kind: classifier, stages: [{width: 8}, {width: 8, projection: linear}],\n"
        "  block: {integrator: rk4, step_sizes: learned, field: mlp}}\n"
    )
    config = load_config(file, ["training.optimizer.schedule=cosine"])
    block = config.model.block
    assert (block.integrator.kind, block.step_sizes.kind) == ("rk4", "learned")
    assert config.training.optimizer.schedule.kind == "cosine"
    assert load_config(file, ["model.block.integrator.remat=step"]).model.block.integrator == (
        DepthBlockConfig(integrator={"kind": "rk4", "remat": "step"}).integrator
    )
    assert DepthBlockConfig(integrator="diffrax") == DepthBlockConfig(integrator=DiffraxConfig())
    assert ClassifierConfig(stages=[{"width": 4, "block": "feedforward"}]).blocks[0].num_layers
    with pytest.raises(ConfigError, match=r"model.stages is required"):
        parse_config({"name": "x", "data": "digits", "model": "classifier"})


def test_schema_offers_bare_kinds():
    schema = json.loads(json_schema())["$defs"]["IntegratorConfig"]
    assert any("rk4" in choice.get("enum", ()) for choice in schema["anyOf"])


def test_objective_without_kind_is_that_of_the_model():
    config = load_config(QUICKSTART, ["objective.label_smoothing=0.1"])
    assert (config.objective.kind, config.objective.label_smoothing) == ("cross_entropy", 0.1)
    values = {"name": "x", "data": {"kind": "peaks"}, "objective": {"regularisers": []}}
    config = parse_config(values | {"model": {"kind": "regressor", "stages": [{"width": 2}]}})
    assert config.objective.kind == "mean_squared_error"


CHANGES = {
    "model.block.integrator.kind=diffrax": "model.block.integrator",
    "model.block.integrator.kind=dopri5": "model.block.integrator",
    "model.block.field.kind=antisymmetric": "model.block.field",
    "model.block.weights.kind=shared": "model.block.weights",
    "model.block.step_sizes.kind=learned": "model.block.step_sizes",
    "model.block.kind=feedforward": "model.block",
    "model.stem.kind=flatten": None,
    "training.optimizer.kind=sgd": None,
    "training.optimizer.schedule.kind=constant": "training.optimizer.schedule",
}


@pytest.mark.parametrize("change", CHANGES)
def test_kind_can_be_changed_where_every_default_is_written_out(change, tmp_path):
    start = load_config(
        QUICKSTART,
        ["model.block.field={kind: mlp}", "compare=null", "training.optimizer={kind: adamw}"],
    )
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml(start))
    key, _, kind = change.rpartition(".kind=")
    try:
        config = load_config(file, [change])
    except ConfigError as error:
        assert "has no" not in str(error)  # noqa: PT017 - the other part may not fit the rest
        return
    assert config == read_experiment(file, [change])
    found = resolved(config)
    for name in key.split("."):
        found = found[name]
    assert found["kind"] == kind


def test_options_that_were_chosen_are_named_and_not_dropped(tmp_path):
    file = tmp_path / "config.yaml"
    chosen = ["model.block.integrator={kind: dopri5, rtol: 1e-5, max_steps: 77}"]
    file.write_text(to_yaml(load_config(QUICKSTART, chosen)))
    message = (
        r"kind=euler has no .*rtol: 1e-05.*max_steps: 77, which integrator has of kind=dopri5; to "
        r"drop these options, write model.block.integrator=\{kind: euler\}"
    )
    for read in (load_config, read_experiment):
        with pytest.raises(ConfigError, match=message):
            read(file, ["model.block.integrator.kind=euler"])
        config = read(file, ["model.block.integrator={kind: euler}"])
        assert config.model.block.integrator.kind == "euler"
        config = read(file, ["model.block.integrator=rk4"])
        assert config.model.block.integrator.kind == "rk4"
    # What both kinds have is kept.
    config = load_config(file, ["model.block.integrator.kind=bosh3"])
    assert config.model.block.integrator.max_steps == 77
    # Options of the new kind may come before it.
    config = load_config(
        QUICKSTART, ["model.block.integrator.rtol=0.1", "model.block.integrator.kind=dopri5"]
    )
    assert config.model.block.integrator.rtol == 0.1


def test_elements_are_appended():
    config = load_config(
        QUICKSTART,
        ["model.stages+={width: 64}", "model.stages+={width: 32, projection: linear}",
         "objective.regularisers+={kind: kinetic, weight: 0.5}", "model.stages.2.width=16"],
    )  # fmt: skip
    assert [stage.width for stage in config.model.stages] == [64, 64, 16]
    assert [part.kind for part in config.loss.regularisers] == ["kinetic"]
    again = variant(config, {"model.stages+": {"width": 16}})
    assert [stage.width for stage in again.model.stages] == [64, 64, 16, 16]
    networks = {"longer": {"model.stages+": {"width": 64}}}
    config = load_config(QUICKSTART, {"compare.networks": networks})
    assert config.compare.networks == networks
