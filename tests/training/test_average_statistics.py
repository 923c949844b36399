"""Statistics of batch norms as an average over training batches with the final weights."""

import dataclasses
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from stopping import SignalAt

from odenet.data import normalize
from odenet.errors import ConfigError
from odenet.experiment.build import build
from odenet.experiment.config import load_config, to_yaml
from odenet.experiment.evaluate import evaluate
from odenet.experiment.run import load, resume, run
from odenet.training.callbacks import read_metrics
from odenet.training.interrupt import Interrupted

HEAD = {"model__head": {"norm": "batch", "activation": "relu"}}
NORMED = HEAD | {"model__block__field": {"kind": "residual"}}
BATCHES = {"training__average_statistics": 5}
STEPS = {"training__num_steps": 12, "training__evaluate_every": 6}


def first_batches(experiment, number):
    with experiment.batches() as batches:
        rows = np.concatenate([next(batches)["indices"] for _ in range(number)])[:number]
    inputs = experiment.dataset.train.inputs[rows]
    return [np.asarray(normalize(x, experiment.dataset.normalization), np.float64) for x in inputs]


def test_average_at_one_norm_equals_numpy(configure):
    experiment = build(configure(**HEAD, **BATCHES, data__augment={"padding": 2}))
    found = jax.device_get(experiment.finish()(experiment.start)).statistics["head"]["norm"]
    start = jax.device_get(experiment.start.params)
    means, variances = [], []
    for x in first_batches(experiment, 5):
        stem = start["projections"][0]["operation"]["linear"]
        h = x.reshape(16, 64) @ stem["kernel"] + stem["bias"]
        affine = start["blocks"][0]["weights"]["stacked"]["affine"]
        for layer in range(3):
            branch = np.tanh(h @ affine[0]["kernel"][layer] + affine[0]["bias"][layer])
            h = h + branch
        means.append(h.mean(0))
        variances.append(h.var(0, ddof=1))
    np.testing.assert_allclose(found["mean"], np.mean(means, 0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["variance"], np.mean(variances, 0), rtol=1e-5)


def test_average_of_a_constant_channel_keeps_every_digit(configure):
    # The stem is a bias alone: 12345.678 at every example, of which a sum would keep fewer digits.
    experiment = build(configure(**HEAD, **BATCHES | {"training__average_statistics": 7}))
    params = jax.tree.map(jnp.zeros_like, experiment.start.params)
    bias = params["projections"][0]["operation"]["linear"]["bias"]
    params["projections"][0]["operation"]["linear"]["bias"] = jnp.full_like(bias, 12345.678)
    found = experiment.finish()(dataclasses.replace(experiment.start, params=params)).statistics
    np.testing.assert_array_equal(found["head"]["norm"]["mean"], np.float32(12345.678))
    np.testing.assert_array_equal(found["head"]["norm"]["variance"], 0)


def test_every_layer_is_averaged_behind_those_before_it_in_training_mode(configure):
    experiment = build(configure(**NORMED, **BATCHES))
    state = experiment.start
    found = experiment.finish()(state)
    expected = []
    for x in first_batches(experiment, 5):
        network = experiment.network(state.params, state.statistics)
        network(jnp.asarray(x, jnp.float32), training=True)
        # A running value moves by a tenth towards the batch's, from 0 or 1.
        moved = nnx.to_pure_dict(nnx.state(network, nnx.BatchStat))
        expected.append(jax.tree.map(lambda a, b: (a - 0.9 * b) / 0.1, moved, state.statistics))
    mean = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *expected)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found.statistics, mean
    )


def test_average_forgets_the_running_statistics_and_keeps_everything_else(configure):
    stages = [{"width": 64}, {"width": 8, "projection": {"kind": "matrix"}}]
    changes = {"model__stem": {"kind": "flatten"}, "model__stages": stages}
    experiment = build(configure(**NORMED, **BATCHES, **changes))
    finish = experiment.finish()
    once = finish(experiment.start)
    twice = finish(once)
    same = jax.tree.map(lambda a, b: np.array(a).tobytes() == np.array(b).tobytes(), once, twice)
    assert jax.tree.all(same)
    fixed = once.statistics["projections"][1]["operation"]["kernel"]
    start = experiment.start.statistics["projections"][1]["operation"]["kernel"]
    np.testing.assert_array_equal(fixed, start)
    rest = (dataclasses.replace(state, statistics=None) for state in (once, experiment.start))
    assert jax.tree.all(jax.tree.map(np.array_equal, *rest))


def test_draws_of_dropout_are_not_averaged(configure):
    changes = {"model__block__shortcut": {"kind": "dropout"}}
    experiment = build(configure(**NORMED, **BATCHES, **changes))
    after = experiment.finish()(experiment.start).statistics["blocks"][0]["weights"]["stacked"]
    start = experiment.start.statistics["blocks"][0]["weights"]["stacked"]
    for name in ("count", "key"):
        np.testing.assert_array_equal(after["shortcut"][name], start["shortcut"][name])


def statistics_of(path, which="last"):
    return load(path, which=which)[1].state.statistics


@pytest.fixture(scope="module")
def runs():
    """Runs that several tests read."""
    return {}


@pytest.fixture
def averaged(configure, tmp_path_factory, runs):
    """A run that averages, whose folder no test may change."""
    if "averaged" not in runs:
        path = tmp_path_factory.mktemp("runs") / "averaged"
        runs["averaged"] = run(configure(**NORMED, **BATCHES, **STEPS), path), path
    return runs["averaged"]


def test_run_ends_with_averaged_statistics_and_reports_them(configure, tmp_path, averaged):
    running = run(configure(**NORMED, **STEPS), tmp_path / "running")
    averaged, path = averaged
    assert jax.tree.all(jax.tree.map(np.array_equal, running.state.params, averaged.state.params))
    expected = averaged.experiment.finish()(running.state)
    for found in (averaged.state.statistics, statistics_of(path)):
        jax.tree.map(np.testing.assert_array_equal, found, expected.statistics)
    again = evaluate(path)
    assert again["loss"] == averaged.results["test"]["loss"] != running.results["test"]["loss"]
    first, last = (
        [validation_losses(each)[row] for each in (tmp_path / "running", path)] for row in (0, -1)
    )
    assert first[0] == first[1]
    assert last[0] != last[1]


def validation_losses(path):
    lines = read_metrics(path / "metrics.jsonl")
    return [line["loss"] for line in lines if line["split"] == "validation"]


@pytest.mark.parametrize(
    "parallel",
    [{"kind": "pmap", "devices": 2}, pytest.param({"devices": 4}, marks=pytest.mark.product)],
    ids=str,
)
def test_many_devices_average_what_one_does(configure, tmp_path, parallel):
    steps = {"training__num_steps": 2, "training__evaluate_every": 2}
    config = configure(**NORMED, **BATCHES, **steps, training__parallel=parallel)
    trained = run(config, tmp_path / "run")
    one = build(configure(**NORMED, **BATCHES)).finish()(jax.device_get(trained.state))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        jax.device_get(trained.state.statistics),
        jax.device_get(one.statistics),
    )


def test_resumed_run_averages_the_same_bytes(configure, tmp_path, averaged):
    config = configure(**NORMED, **BATCHES, **STEPS)
    with pytest.raises(Interrupted):
        run(config, tmp_path / "stopped", callbacks=[SignalAt(8, signal.SIGTERM)])
    resume(tmp_path / "stopped")
    found, expected = (statistics_of(path) for path in (tmp_path / "stopped", averaged[1]))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_run_stopped_before_its_results_resumes_with_the_averaged_statistics(tmp_path, averaged):
    trained, path = averaged
    shutil.copytree(path, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    again = resume(tmp_path / "run")
    assert again.results["test"] == trained.results["test"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "average_statistics=5 would be ignored: the model has no batch norm"),
        (
            HEAD | {"training__batch_statistics": "frozen"},
            "would change the statistics that batch_statistics=frozen",
        ),
    ],
    ids=["no norm", "frozen"],
)
def test_average_that_would_have_no_effect_is_refused(configure, changes, message):
    with pytest.raises(ConfigError, match=message):
        configure(**BATCHES, **changes)


def test_average_over_more_than_an_epoch_is_refused(configure):
    with pytest.raises(ConfigError, match=r"at most 99, the full batches of 16 in 1597 .* got 100"):
        build(configure(**HEAD, training__average_statistics=100))


def test_option_survives_the_file(configure, tmp_path):
    config = configure(**NORMED, **BATCHES)
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_config(tmp_path / "config.yaml") == config
