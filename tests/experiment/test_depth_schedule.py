"""Networks that change their depth while they train."""

import functools
import shutil
from fractions import Fraction

import numpy as np
import pytest
from interrupted_runs import SignalAt, assert_same_run, assert_same_state, results_of
from tiny_experiment import classifier, configured, tiny
from user_settings import as_a_user
from user_settings import settings_of_a_user as settings_of_a_user

from odenet.errors import ConfigError
from odenet.experiment.refinement.refine import refine
from odenet.experiment.run import load, resume, run
from odenet.instruments import measure
from odenet.training.callbacks import read_metrics
from odenet.training.interrupt import Interrupted

TWICE = Fraction(2)
LEARNED = {"kind": "learned", "parametrisation": "positive", "horizon": 2.0}
VALUES = tiny(
    classifier(6, num_steps=2, step_sizes=LEARNED),
    num_steps=24,
    log_every=2,
    evaluate_every=8,
    checkpoint_every=4,
    optimizer={"kind": "adamw", "learning_rate": 0.01, "schedule": {"kind": "cosine"}},
    depth_schedule={"kind": "multilevel", "at": [8, 16]},
)
configure = functools.partial(configured, VALUES)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    path = tmp_path_factory.mktemp("schedule") / "straight"
    with as_a_user():
        run(configure(), path)
    return path


@pytest.fixture(scope="module")
def within_a_level(tmp_path_factory):
    """A run that was stopped between its two changes of depth."""
    path = tmp_path_factory.mktemp("schedule") / "stopped"
    with as_a_user(), pytest.raises(Interrupted):
        run(configure(), path, callbacks=[SignalAt(12, "log")])
    return path


def test_layers_are_divided_at_their_steps_and_curves_show_the_whole(straight):
    levels = results_of(straight)["levels"]
    assert [level["step"] for level in levels] == [8, 16]
    for level in levels:
        assert level["jump"] == level["loss_after"] - level["loss_before"] != 0
        assert level["largest_change_of_a_step"] > 0
    assert [level["stages"][0]["num_layers"] for level in levels] == [[2, 4], [4, 8]]
    assert len(results_of(straight)["taus"][0]) == 8
    records = read_metrics(straight / "metrics.jsonl")
    trained = [record for record in records if record["split"] == "train"]
    assert [record["step"] for record in trained] == list(range(2, 25, 2))
    assert [record["nfe"] for record in trained] == [2] * 4 + [4] * 4 + [8] * 4
    # The learning rate follows the whole training, not its parts.
    rates = [record["learning_rate"] for record in trained]
    expected = 0.005 * (1 + np.cos(np.pi * (np.arange(2, 25, 2) - 1) / 24))
    np.testing.assert_allclose(rates, expected, rtol=1e-5)
    checked = [record["step"] for record in records if record["split"] == "validation"]
    assert checked == [8, 16, 24]


def test_level_is_the_refined_network_trained_on(straight, tmp_path):
    """A run through a level equals three commands: run, refine, resume."""
    with pytest.raises(Interrupted):
        run(configure(), tmp_path / "coarse", callbacks=[SignalAt(8, "checkpoint")])
    refine(tmp_path / "coarse", TWICE, tmp_path / "fine")
    resume(tmp_path / "fine")
    # The network that was changed at this step is not changed there again.
    results = results_of(tmp_path / "fine")
    assert [level["step"] for level in results["levels"]] == [16]
    assert len(results["taus"][0]) == 8
    assert_same_state(straight, tmp_path / "fine")


PRODUCT = pytest.mark.product


@pytest.mark.parametrize(
    ("step", "event"),
    [
        pytest.param(8, "log", marks=PRODUCT),
        pytest.param(8, "checkpoint", marks=PRODUCT),
        (8, "end"),
    ],
)
def test_schedule_interrupted_at_a_change_resumes_bit_for_bit(step, event, straight, tmp_path):
    path = tmp_path / "stopped"
    with pytest.raises((Interrupted, KeyboardInterrupt)):
        run(configure(), path, callbacks=[SignalAt(step, event)])
    assert not (path / "results.json").exists()
    resume(path)
    assert_same_run(straight, path)


@pytest.mark.product  # beside that of pruning, whose changed network is stopped and resumed too
def test_schedule_interrupted_within_a_level_resumes_bit_for_bit(
    straight, within_a_level, tmp_path
):
    path = shutil.copytree(within_a_level, tmp_path / "stopped")
    assert not (path / "results.json").exists()
    resume(path)
    assert_same_run(straight, path)


def test_checkpoints_of_every_level_are_loaded_with_their_network(within_a_level, tmp_path):
    path = within_a_level
    experiment, checkpoint = load(path, [("model.block.integrator.kind", "midpoint")])
    assert 12 <= checkpoint.step < 16
    (block,) = experiment.config.model.blocks
    assert (block.num_steps, block.integrator.kind) == (4, "midpoint")
    assert load(path, which="best")[1].step == 8
    with pytest.raises(ConfigError, match="another depth than at the start of its training"):
        measure("gradient-flow", path, at="start")
    refine(path, TWICE, tmp_path / "finer")
    assert load(tmp_path / "finer")[0].config.model.blocks[0].num_steps == 8


@pytest.mark.product  # its record is that of every schedule; only the sizes are of this training
def test_loss_of_a_trained_network_does_not_jump_more_than_between_two_steps(tmp_path):
    model = classifier(16, num_steps=4, step_sizes={"kind": "fixed", "horizon": 0.5})
    schedule = {"kind": "multilevel", "at": [200, 240]}
    optimizer = {"kind": "sgd", "learning_rate": 0.01}
    training = {"num_steps": 280, "depth_schedule": schedule, "optimizer": optimizer}
    values = tiny(model, **(training | {"evaluate_every": 40, "log_every": 40}))
    results = run(configured(values), tmp_path / "run").results
    assert results["test"]["accuracy"] > 0.85
    assert len(results["levels"]) == 2
    for level in results["levels"]:
        assert level["jump"] == level["loss_after"] - level["loss_before"]
        assert 0 < abs(level["jump"]) <= level["largest_change_of_a_step"], level
    first, second = (abs(level["jump"]) for level in results["levels"])
    assert second < first


@pytest.mark.parametrize(
    ("model", "schedule", "message"),
    [
        ({}, {"kind": "pruning", "every": 8}, "its step sizes are fixed"),
        ({"kind": "feedforward"}, VALUES["training"]["depth_schedule"], "stages.0: its layers are"),
        ({"weights": {"kind": "shared"}}, {"at": [8], "prolongation": "linear"}, "linear would be"),
        ({}, {"at": [24]}, r"depth_schedule.at must be less than num_steps=24.*got 24"),
        ({}, {"at": [8, 8]}, "must increase"),
        ({}, {"kind": "pruning", "every": 30}, "every must be less than num_steps=24"),
    ],
)
def test_schedules_that_cannot_be_followed_are_refused(model, schedule, message, tmp_path):
    schedule = {"kind": "multilevel"} | schedule
    values = VALUES | {"model": classifier(6, **model)}
    with pytest.raises(ConfigError, match=message):
        run(configured(values, training__depth_schedule=schedule), tmp_path / "run")
    assert not (tmp_path / "run").exists()
