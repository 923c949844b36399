"""Networks that change their depth while they train."""

import functools
import json
import signal
from fractions import Fraction

import jax
import numpy as np
import pytest
from tiny_experiment import classifier, configured, tiny
from user_settings import settings_of_a_user as settings_of_a_user
from without_clock import without_clock

from odenet.errors import ConfigError
from odenet.experiment.refinement.refine import refine
from odenet.experiment.run import load, resume, run
from odenet.instruments import measure
from odenet.training.callbacks import Callback, read_metrics
from odenet.training.checkpoint import Checkpointer, named
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


class SignalAt(Callback):
    """Sends this process a signal at an event after a step, as an operator would."""

    def __init__(self, step, event):
        self.step, self.when, self.sent = step, frozenset({event}), False

    def __call__(self, info):
        if info.step >= self.step and not self.sent:
            self.sent = True
            if info.event == "end":  # between two networks, where a signal is obeyed at once
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    path = tmp_path_factory.mktemp("schedule") / "straight"
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        run(configure(), path)
    return path


def results_of(path):
    return json.loads((path / "results.json").read_text())


def assert_same_run(one, other):
    metrics = [without_clock(read_metrics(path / "metrics.jsonl")) for path in (one, other)]
    assert metrics[0] == metrics[1]
    (_, first), (_, second) = load(one), load(other)
    for x, y in zip(jax.tree.leaves(first.state), jax.tree.leaves(second.state), strict=True):
        np.testing.assert_array_equal(x, y)
    assert first.extras == second.extras
    assert results_of(one)["levels"] == results_of(other)["levels"]


def test_layers_are_divided_at_their_steps_and_curves_show_the_whole(straight):
    levels = results_of(straight)["levels"]
    assert [level["step"] for level in levels] == [8, 16]
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
    """One run through two levels equals three commands: run, refine, resume."""
    once = configure(training__depth_schedule=None)
    with pytest.raises(Interrupted):
        run(once, tmp_path / "coarse", callbacks=[SignalAt(8, "checkpoint")])
    refine(tmp_path / "coarse", TWICE, tmp_path / "middle")
    with pytest.raises(Interrupted):
        resume(tmp_path / "middle", callbacks=[SignalAt(16, "checkpoint")])
    refine(tmp_path / "middle", TWICE, tmp_path / "fine")
    state = resume(tmp_path / "fine").state
    _, found = load(straight)
    for x, y in zip(jax.tree.leaves(state), jax.tree.leaves(found.state), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("step", "event"), [(8, "log"), (8, "checkpoint"), (8, "end"), (14, "log")]
)
def test_interrupted_schedule_resumes_bit_for_bit(step, event, straight, tmp_path):
    path = tmp_path / "stopped"
    with pytest.raises((Interrupted, KeyboardInterrupt)):
        run(configure(), path, callbacks=[SignalAt(step, event)])
    assert not (path / "results.json").exists()
    resume(path)
    assert_same_run(straight, path)


def test_checkpoints_of_every_level_are_loaded_with_their_network(straight, tmp_path):
    path = tmp_path / "stopped"
    with pytest.raises(Interrupted):
        run(configure(), path, callbacks=[SignalAt(12, "log")])
    experiment, checkpoint = load(path, [("model.block.integrator.kind", "midpoint")])
    assert checkpoint.step >= 12
    (block,) = experiment.config.model.blocks
    assert (block.num_steps, block.integrator.kind) == (4, "midpoint")
    assert load(path, which="best")[1].step == 8
    with pytest.raises(ConfigError, match="another depth than at the start of its training"):
        measure("gradient-flow", path, at="start")
    # A network made from it is written out, and does not change at that step again.
    refine(path, TWICE, tmp_path / "finer")
    assert load(tmp_path / "finer")[0].config.model.blocks[0].num_steps == 8
    resume(tmp_path / "finer")
    assert len(results_of(tmp_path / "finer")["taus"][0]) == 16


def test_network_that_was_changed_at_a_step_is_not_changed_there_again(tmp_path):
    path = tmp_path / "stopped"
    with pytest.raises(Interrupted):
        run(configure(), path, callbacks=[SignalAt(8, "checkpoint")])
    refine(path, TWICE, tmp_path / "finer")  # by hand, what the schedule would do next
    resume(tmp_path / "finer")
    results = results_of(tmp_path / "finer")
    assert [level["step"] for level in results["levels"]] == [16]
    assert len(results["taus"][0]) == 8


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


PRUNING = {"kind": "pruning", "every": 8, "fraction": 0.15}
FREE = {"kind": "learned", "horizon": 2.0}


def pruned(**changes):
    model = classifier(6, num_steps=4, step_sizes=FREE)
    schedule = {"depth_schedule": PRUNING | changes}
    return VALUES | {"model": model, "training": VALUES["training"] | schedule}


def shrink(path, taus):
    """Give the last checkpoint of a run these step sizes, as if it had learned them."""
    checkpointer = Checkpointer(path / "checkpoints")
    found = checkpointer.read("last")
    arrays = found.state | {"params/blocks/0/step_sizes/raw": np.asarray(taus, np.float32)}
    checkpointer.save("last", found.step, arrays, found.extras)
    checkpointer.close()
    return arrays


@pytest.mark.parametrize(
    ("remove", "kept"), [("smallest", [0, 1, 3]), ("all", [1, 3])], ids=["smallest", "all"]
)
def test_layers_of_small_steps_go_while_the_rest_trains_on(remove, kept, tmp_path):
    path = tmp_path / "run"
    with pytest.raises(Interrupted):
        run(configured(pruned(remove=remove)), path, callbacks=[SignalAt(2, "log")])
    # The smallest of all is -0.9, but its layer is the longest.
    before = shrink(path, [0.05, -0.9, 0.02, 0.7])
    with pytest.raises(Interrupted):
        resume(path, callbacks=[SignalAt(8, "checkpoint")])
    _, at = load(path)
    assert at.step == 8
    old = {key: leaf for key, leaf in named(at.state).items() if "blocks/0" in key}
    with pytest.raises(Interrupted):
        resume(path, callbacks=[SignalAt(10, "log")])
    record = json.loads((path / "levels.json").read_text())
    assert [level["step"] for level in record] == [8]
    stage = record[0]["stages"][0]
    assert (stage["num_layers"], stage["removed"]) == (
        [4, len(kept)],
        sorted({0, 1, 2, 3} - set(kept)),
    )
    # A step of the pruned network, from the survivors' weights and moments.
    experiment, checkpoint = load(path)
    assert experiment.config.model.blocks[0].num_steps == len(kept)
    assert before.keys() == named(checkpoint.state).keys()
    for key, leaf in named(checkpoint.state).items():
        if key in old:
            np.testing.assert_allclose(leaf, np.asarray(old[key])[kept], atol=0.05, err_msg=key)
            if "/mu/" in key:
                assert np.any(leaf)


def test_pruned_run_resumes_bit_for_bit_and_stays_where_nothing_is_small(tmp_path):
    values = pruned(fraction=0.24, every=4)
    run(configured(values), tmp_path / "straight")
    with pytest.raises(Interrupted):
        run(configured(values), tmp_path / "stopped", callbacks=[SignalAt(10, "log")])
    resume(tmp_path / "stopped")
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")
    levels = results_of(tmp_path / "straight")["levels"]
    assert levels
    taus = results_of(tmp_path / "straight")["taus"][0]
    assert len(taus) == 4 - len(levels)
    whole = run(configured(pruned(fraction=1e-6)), tmp_path / "whole").results
    assert (whole["levels"], len(whole["taus"][0])) == ([], 4)


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
