"""A residual network in an experiment: as published, and as Euler steps."""

import pytest
from stored_runs import drawn_run
from tiny_experiment import tiny

import odenet
from odenet.errors import ConfigError
from odenet.experiment.compare import compare, networks_of
from odenet.experiment.config import parse_config
from odenet.experiment.evaluate import evaluate
from odenet.plotting.wording import verdict_reason

MODEL = {"kind": "resnet", "layout": "vector", "depth": 14, "width": 4}
VALUES = tiny(MODEL, num_steps=2, evaluate_every=2, checkpoint_every=2)
STEPS = {"model.arrangement": "full_preactivation"}


def test_integrator_of_all_stages_is_one_override():
    config = parse_config(VALUES, [*STEPS.items(), ("model.integrator.kind", "rk4")])
    assert [block.integrator.kind for block in config.model.blocks] == ["rk4"] * 3
    with pytest.raises(ConfigError, match=r"field\.arrangement=original a layer is no step"):
        parse_config(VALUES, [("model.integrator.kind", "rk4")])


def test_network_has_the_steps_of_every_unit_and_is_evaluated_by_a_solver(tmp_path):
    config = parse_config(VALUES, [*STEPS.items(), ("model.step_sizes.tau", 0.5)])
    taus = odenet.load(drawn_run(config, tmp_path / "run")).taus
    assert [block.tolist() for block in taus] == [[0.5] * 2] * 3
    own, solved = (
        evaluate(tmp_path / "run", overrides)
        for overrides in ([], ["model.integrator={kind: rk4}"])
    )
    assert (own["nfe"], solved["nfe"]) == (6, 3 + 3 * 4)
    assert solved["loss"] != own["loss"]


@pytest.mark.slow
def test_comparison_evaluates_the_original_as_trained_and_judges_the_steps(tmp_path):
    section = {
        "networks": {"original": {}, "steps": STEPS},
        "evaluate": {"rk4": {"integrator": {"kind": "rk4"}}},
    }
    config = parse_config(VALUES | {"compare": section})
    assert set(networks_of(config)) == {"original", "steps"}
    found = compare(config, tmp_path / "compared")
    ways = [(row.trained_with, row.evaluated_with) for row in found.rows]
    assert ways == [("original", "as trained")] + [
        ("steps", way) for way in ("as trained", "rk4", "reference")
    ]
    original, steps = found.verdicts
    assert original.verdict == "not an ODE"
    assert steps.verdict != "not an ODE"
    assert found.networks["original"]["taus"] == [[1.0] * 2] * 3
    row = {"accuracy": found.rows[0].accuracy, "solver_error": None}
    verdict = {"verdict": "not an ODE", "largest_change": None, "threshold": 0.1}
    assert "not all Euler steps" in verdict_reason(verdict, row)
