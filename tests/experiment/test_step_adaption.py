"""Step sizes that follow whether a network is an ODE, after Ott et al. 2021, algorithm 2."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import pytest
from stopping import SignalAt
from user_settings import as_a_user
from user_settings import settings_of_a_user as settings_of_a_user
from without_clock import without_clock

from odenet.depth.schedules import StepAdaptionConfig
from odenet.errors import ConfigError
from odenet.experiment.build import build
from odenet.experiment.config import parse_config
from odenet.experiment.refinement.adaptable import with_steps
from odenet.experiment.refinement.plan import DepthPlan
from odenet.experiment.run import load, resume, run
from odenet.training.callbacks import read_metrics
from odenet.training.interrupt import Interrupted

SCHEDULE = StepAdaptionConfig()
VALUES = {
    "name": "rings",
    "data": {"kind": "annuli", "train": 128, "validation": 64, "test": 64},
    "model": {
        "kind": "classifier",
        "stem": {"kind": "flatten"},
        "stages": [{"width": 2}],
        "block": {
            "num_steps": 5,
            "field": {"kind": "mlp", "form": "between", "hidden": [8]},
            "weights": {"kind": "shared"},
            "step_sizes": {"kind": "fixed", "horizon": 1.0},
        },
    },
    "training": {
        "num_steps": 8,
        "batch_size": 32,
        "parallel": {"devices": 1},
        "log_every": 1,
        "evaluate_every": 4,
        "optimizer": {"kind": "adamw", "learning_rate": 0.01},
        "depth_schedule": {"kind": "step_adaption", "every": 4, "growth": 1.5},
    },
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({10: 0.2}, 20),  # no ODE: halve the step
        ({10: -0.2}, 20),  # in either direction
        ({10: 0.1, 9: 0.0}, 9),  # an ODE, with the longer step too
        ({10: 0.0, 9: 0.3}, 10),  # not with the longer one: reverted
    ],
)
def test_next_number_of_steps_is_that_of_the_algorithm(changes, expected):
    found, looked_at = SCHEDULE.adapted(10, changes.__getitem__)
    assert found == expected
    assert looked_at == changes


def test_numbers_of_steps_stay_within_their_bounds():
    assert SCHEDULE.shorter(400) == 500
    assert SCHEDULE.shorter(500) == 500
    assert [SCHEDULE.longer(n) for n in (1, 2, 5, 22, 500)] == [1, 1, 4, 20, 454]
    # h_test = sqrt(h / 50) down to h = 1/50, then h itself.
    assert [StepAdaptionConfig.finer(n) for n in (2, 50, 51, 200)] == [10, 50, 51, 200]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    path = tmp_path_factory.mktemp("adapted") / "run"
    with as_a_user():
        run(parse_config(VALUES), path)
    return path


def test_run_changes_its_steps_and_keeps_its_weights(straight):
    results = json.loads((straight / "results.json").read_text())
    (level,) = results["levels"]
    assert level["step"] == 4
    assert [stage["num_steps"] for stage in level["stages"]] == [[5, 3]]
    assert level["num_parameters"][0] == level["num_parameters"][1]
    experiment, checkpoint = load(straight)
    assert experiment.config.model.blocks[0].num_steps == len(results["taus"][0]) == 3
    plan, trained = DepthPlan(SCHEDULE), checkpoint.state
    euler, midpoint = (
        build(with_steps(experiment.config, *steps)) for steps in ((5,), (16, "midpoint"))
    )
    turned = dataclasses.replace(trained, params=jax.tree.map(jnp.negative, trained.params))
    for state in (trained, turned):  # by the same programs
        own, finer = (
            other.evaluator(other.dataset.validation)(state.params, state.statistics).metrics
            for other in (euler, midpoint)
        )
        found = SCHEDULE.change_of_accuracy(plan.network(experiment, state), 5)
        assert found == own["accuracy"] - finer["accuracy"]


def test_methods_of_as_many_steps_are_kept_apart(straight, monkeypatch):
    monkeypatch.setattr(StepAdaptionConfig, "finer", staticmethod(lambda num_steps: num_steps))
    experiment, checkpoint = load(straight)
    longer = jax.tree.map(lambda leaf: 6 * leaf, checkpoint.state.params)  # so that methods differ
    state = dataclasses.replace(checkpoint.state, params=longer)
    network = DepthPlan(SCHEDULE).network(experiment, state)
    assert SCHEDULE.change_of_accuracy(network, 2) != 0


def test_resumed_run_adapts_as_one_that_was_never_stopped(straight, tmp_path):
    path = tmp_path / "run"
    with pytest.raises(Interrupted):
        run(parse_config(VALUES), path, callbacks=[SignalAt(6)])
    resume(path)
    kept = [without_clock(read_metrics(folder / "metrics.jsonl")) for folder in (straight, path)]
    assert [r for r in kept[0] if r["split"] == "train"] == [
        r for r in kept[1] if r["split"] == "train"
    ]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.block.integrator.kind", "rk4", "got integrator.kind=rk4"),
        ("model.block.weights.kind", "per_layer", "got .*weights.kind=per_layer"),
        ("model.block.step_sizes", {"kind": "learned"}, "fixed by their horizon"),
        ("training.depth_schedule.most_steps", 4, "num_steps=5 is above"),
    ],
)
def test_network_that_cannot_be_adapted_is_refused(key, value, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        run(parse_config(VALUES, [(key, value)]), tmp_path / "run")
    assert not (tmp_path / "run").exists()
