"""Batch norm in an experiment: trained by Euler, run by any solver, refused where it cannot be."""

import math

import pytest
from tiny_experiment import classifier, tiny

from odenet.analysis.monitors import flow_probe
from odenet.errors import ConfigError
from odenet.experiment.build import build
from odenet.experiment.compare import networks_of
from odenet.experiment.config import parse_config
from odenet.experiment.evaluate import evaluate
from odenet.experiment.run import run
from odenet.instruments import measure
from odenet.instruments.gradient_flow import GradientFlow
from odenet.training.callbacks import read_metrics

MODEL = classifier(8, num_steps=3, field={"kind": "residual"}) | {
    "head": {"norm": "batch", "activation": "relu"}
}
VALUES = tiny(MODEL, num_steps=4, evaluate_every=4, checkpoint_every=4)
SOLVER = ("model.block.integrator", {"kind": "dopri5"})


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run whose gradient flow is measured after its last step."""
    path = tmp_path_factory.mktemp("batch_norm") / "run"
    monitors = [{"kind": "gradient_flow", "every": 4}]
    run(parse_config(VALUES, [("training.monitors", monitors)]), path)
    return path


def test_trained_network_is_evaluated_by_a_solver(watched):
    own = evaluate(watched)
    solved = evaluate(watched, ["model.block.integrator={kind: dopri5}"])
    assert solved["solver_ok"] == 1
    assert solved["nfe"] > own["nfe"] == 3
    assert math.isfinite(solved["loss"])
    assert solved["loss"] != own["loss"]


def test_training_by_a_solver_is_refused_before_a_directory_is_made(tmp_path):
    with pytest.raises(ConfigError, match=r"model.stages.0: batch norm .* kind=dopri5"):
        run(parse_config(VALUES, [SOLVER]), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    section = {
        "networks": {"solved": dict([SOLVER])},
        "evaluate": {"rk4": {"integrator": {"kind": "rk4"}}},
    }
    with pytest.raises(ConfigError, match=r"compare.networks.solved: model.stages.0: batch norm"):
        networks_of(parse_config(VALUES | {"compare": section}))


def test_training_on_one_value_is_refused_before_a_directory_is_made(tmp_path):
    config = parse_config(VALUES, [("training.batch_size", 1)])
    with pytest.raises(ConfigError, match=r"model.stages.0.block: norm 0 .* training.batch_size"):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_gradient_flow_is_that_of_training_and_says_so(watched):
    training = measure("gradient-flow", watched, examples=16, factor_examples=2)
    (during,) = [
        line for line in read_metrics(watched / "gradient_flow.jsonl") if line["step"] == 4
    ]
    assert training["batch_statistics"] == during["batch_statistics"] == "training"
    assert training["identity"] == (None,)
    assert len(training["blocks"][0]["factors"]["largest"]) == 3
    assert any("examples; factors in evaluation" in one for one in GradientFlow.sentences(training))
    frozen = measure(
        "gradient-flow", watched, examples=16, factor_examples=2, batch_statistics="frozen"
    )
    assert frozen["batch_statistics"] == "frozen"
    assert frozen["identity"] != (None,)
    assert frozen["loss"] != training["loss"]
    assert frozen["blocks"][0]["factors"] == training["blocks"][0]["factors"]


def test_statistics_of_no_batch_norm_cannot_be_chosen():
    values = tiny(classifier(8))
    experiment = build(parse_config(values))
    with pytest.raises(ConfigError, match="frozen would be ignored: the model has no batch norm"):
        flow_probe(experiment, experiment.dataset.train, batch_statistics="frozen")
