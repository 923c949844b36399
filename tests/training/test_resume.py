import json
import signal

import jax
import numpy as np
import pytest
from experiment.stored_runs import drawn_run
from once import made_once
from stopping import SignalAt
from without_clock import without_clock

from odenet.errors import ConfigError, NonFiniteLoss, RunDirectoryError, SolverFailure
from odenet.experiment.run import load, resume, run
from odenet.training.callbacks import read_metrics
from odenet.training.checkpoint import DamagedCheckpointWarning
from odenet.training.interrupt import Interrupted
from odenet.training.loop import SolverWarning

DROPOUT = {"model__block__shortcut": {"kind": "dropout"}}
SHORT = {"training__num_steps": 4, "training__evaluate_every": 2, "training__checkpoint_every": 4}


def assert_same_run(one, other):
    a, b = (without_clock(read_metrics(path / "metrics.jsonl")) for path in (one, other))
    assert a == b
    assert len(a) == 14
    _, first = load(one)
    _, second = load(other)
    assert first.step == second.step
    for x, y in zip(jax.tree.leaves(first.state), jax.tree.leaves(second.state), strict=True):
        np.testing.assert_array_equal(x, y)
    assert first.extras == second.extras


@pytest.fixture
def straight(configure, tmp_path_factory):
    """A run without a stop, which no test may change; its layers draw at every step."""
    return made_once(
        tmp_path_factory, "straight_training", lambda path: run(configure(**DROPOUT), path)
    )


def stops():
    """Before the first checkpoint, after it, after the first evaluation; by both signals."""
    for step, usual in ((2, signal.SIGTERM), (8, None), (18, signal.SIGINT)):
        for signum in (signal.SIGTERM, signal.SIGINT):
            # The run on four devices stops after its first checkpoint.
            marks = () if signum == usual else pytest.mark.product
            yield pytest.param(step, signum, marks=marks, id=f"{signum.name}-{step}")


@pytest.mark.parametrize(("step", "signum"), list(stops()))
def test_interrupted_run_resumes_bit_for_bit(configure, tmp_path, straight, step, signum):
    path = tmp_path / "stopped"
    with pytest.raises(Interrupted, match="saved at step") as caught:
        run(configure(**DROPOUT), path, callbacks=[SignalAt(step, signum)])
    assert caught.value.exit_code == 128 + signum
    assert json.loads((path / "status.json").read_text())["state"] == "stopped"
    trained = resume(path)
    assert_same_run(straight, path)
    assert json.loads((path / "status.json").read_text())["state"] == "complete"
    assert_every_start_is_recorded(path, trained.results, step)


def assert_every_start_is_recorded(path, results, step):
    """Each with what its program costs."""
    records = read_metrics(path / "metrics.jsonl")
    starts = [record for record in records if record["split"] == "program"]
    assert [record["step"] for record in starts] == [
        0,
        records[records.index(starts[1]) - 1]["step"],
    ]
    assert starts[1]["step"] >= step
    for name in ("compile_seconds", "peak_bytes"):
        assert all(record[name] > 0 for record in starts)
        assert starts[-1][name] == results[name]
    assert all(record["step_seconds"] > 0 for record in records if record["split"] == "train")


@pytest.mark.slow
def test_adaptive_run_with_augmentation_on_two_devices_resumes_bit_for_bit(configure, tmp_path):
    config = configure(
        model__block__integrator={"kind": "diffrax", "max_steps": 32},
        data__augment={"padding": 1, "flip": False},
        training__parallel={"kind": "pmap", "devices": 2},
        training__optimizer={"kind": "adamw", "learning_rate": 1e-3},
    )
    run(config, tmp_path / "straight")
    with pytest.raises(Interrupted):
        run(config, tmp_path / "stopped", callbacks=[SignalAt(8, signal.SIGTERM)])
    resume(tmp_path / "stopped")
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")


def test_damaged_last_checkpoint_resumes_from_the_one_before(configure, tmp_path, straight):
    path = tmp_path / "stopped"
    with pytest.raises(Interrupted):
        run(configure(**DROPOUT), path, callbacks=[SignalAt(14, signal.SIGTERM)])
    newest = max((path / "checkpoints" / "last").iterdir())
    victim = max((newest / "arrays").rglob("*"), key=lambda p: p.stat().st_size * p.is_file())
    victim.write_bytes(victim.read_bytes()[:-7])
    with pytest.warns(DamagedCheckpointWarning, match="is damaged"):
        resume(path)
    assert_same_run(straight, path)


def test_complete_run_is_not_resumed(straight):
    with pytest.raises(RunDirectoryError, match="is complete at step 24"):
        resume(straight)


def test_run_into_an_existing_directory_is_refused_and_leaves_it(configure, straight):
    before = (straight / "metrics.jsonl").read_bytes()
    with pytest.raises(RunDirectoryError, match="exists; name another with --out"):
        run(configure(**DROPOUT), straight)
    assert (straight / "metrics.jsonl").read_bytes() == before


def test_non_finite_loss_stops_with_the_step_and_the_last_finite_metrics(configure, tmp_path):
    config = configure(
        model__block__field={"kind": "mlp", "activation": "relu"},
        training__optimizer__learning_rate=1e20,
    )
    told = r"not finite at step \d+, the state from model.stages.0 on; last finite metrics: .*loss="
    with pytest.raises(NonFiniteLoss, match=told):
        run(config, tmp_path / "run")
    for record in without_clock(read_metrics(tmp_path / "run" / "metrics.jsonl")):
        assert np.isfinite(record["loss"])
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "stopped"
    assert "not finite" in status["reason"]


TOO_FEW_STEPS = {"kind": "dopri5", "rtol": 1e-5, "atol": 1e-5, "max_steps": 1}


def test_solver_that_does_not_reach_t1_stops_the_run_or_warns(configure, tmp_path):
    changes = SHORT | {"model__block__integrator": TOO_FEW_STEPS}
    with pytest.raises(
        SolverFailure,
        match=r"step 1, in model.stages.0, layer 0 .*at depth-time [0-9.]+: .*more than integ",
    ):
        run(configure(**changes), tmp_path / "stop")
    with pytest.warns(SolverWarning, match="did not reach the end"):
        trained = run(configure(**changes, training__on_solver_failure="warn"), tmp_path / "warn")
    assert trained.results["solver_failures"] == 4
    assert trained.results["test"]["solver_ok"] == 0.0


def test_failed_steps_can_be_skipped_and_leave_the_network_as_it_was(configure, tmp_path):
    changes = SHORT | {"model__block__integrator": TOO_FEW_STEPS}
    with pytest.warns(SolverWarning, match=r"at step .*more than integrator.max_steps"):
        trained = run(configure(**changes, training__on_solver_failure="skip"), tmp_path / "run")
    assert trained.results["solver_failures"] == 4
    records = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert len({r["loss"] for r in records if r["split"] == "validation"}) == 1
    failed = [r for r in records if r["split"] == "train"]
    assert {(r["solver_failure"], r["failed_stage"], r["failed_layer"]) for r in failed} == {
        (1.0, 0.0, 0.0)
    }


def test_step_over_the_budget_of_evaluations_is_a_failure(configure, tmp_path):
    with pytest.raises(SolverFailure, match=r"took 3 evaluations at step 1.*nfe_budget"):
        run(configure(**SHORT, training__nfe_budget=2), tmp_path / "over")
    within = run(configure(**SHORT, training__nfe_budget=3), tmp_path / "in")
    assert within.results["solver_failures"] == 0


def test_best_checkpoint_is_the_best_on_validation(straight):
    records = read_metrics(straight / "metrics.jsonl")
    scores = {r["step"]: r["accuracy"] for r in records if r["split"] == "validation"}
    assert set(scores) == {12, 24}
    experiment, best = load(straight, which="best")
    assert best.step == max(scores, key=lambda step: (scores[step], -step))
    state = best.state
    found = experiment.evaluator(experiment.dataset.validation)(state.params, state.statistics)
    assert found.metrics["accuracy"] == pytest.approx(scores[best.step])


def test_metrics_are_logged_at_the_steps_asked_for(straight):
    records = without_clock(read_metrics(straight / "metrics.jsonl"))
    assert [r["step"] for r in records if r["split"] == "train"] == list(range(2, 25, 2))
    assert all(r["nfe"] == 3 and r["solver_ok"] == 1 for r in records)
    assert list((straight / "events").glob("events.out.tfevents.*"))


def test_euler_weights_load_into_adaptive_solvers_and_back(configure, tmp_path):
    path = drawn_run(configure(), tmp_path / "discrete")
    experiment, checkpoint = load(path, [("model.block.integrator.kind", "diffrax")])
    assert experiment.config.model.block.integrator.kind == "diffrax"
    state = checkpoint.state
    continuous = experiment.evaluator(experiment.dataset.test)(state.params, state.statistics)
    assert continuous.metrics["nfe"] > 3
    config = configure(model__block__integrator={"kind": "dopri5"})
    continuous = drawn_run(config, tmp_path / "continuous")
    experiment, checkpoint = load(continuous, [("model.block.integrator", {"kind": "euler"})])
    state = checkpoint.state
    discrete = experiment.evaluator(experiment.dataset.test)(state.params, state.statistics)
    assert discrete.metrics["nfe"] == 3
    with pytest.raises(ConfigError, match="within one equation"):
        load(path, [("model.block.integrator.kind", "leapfrog")])


@pytest.mark.parametrize("kind", ["jit", pytest.param("pmap", marks=pytest.mark.product)])
def test_run_resumed_on_four_devices_equals_one_device_to_roundoff(
    configure, tmp_path, straight, kind
):
    config = configure(**DROPOUT, training__parallel={"kind": kind, "devices": 4})
    with pytest.raises(Interrupted):
        run(config, tmp_path / "four", callbacks=[SignalAt(8, signal.SIGTERM)])
    resume(tmp_path / "four")
    one, four = (
        [record["loss"] for record in without_clock(read_metrics(path / "metrics.jsonl"))]
        for path in (straight, tmp_path / "four")
    )
    np.testing.assert_allclose(four, one, rtol=1e-4)


def test_event_file_names_the_metrics_of_both_splits(straight):
    (events,) = (straight / "events").glob("events.out.tfevents.*")
    written = events.read_bytes()
    for tag in (b"train/loss", b"validation/accuracy", b"program/peak_bytes"):
        assert tag in written


def test_reversible_run_loads_under_another_policy_but_not_another_equation(configure, tmp_path):
    path = drawn_run(configure(model__block__integrator={"kind": "leapfrog"}), tmp_path / "run")

    def loss(remat):
        experiment, checkpoint = load(path, [("model.block.integrator.remat", remat)])
        assert experiment.config.model.block.integrator.remat == remat
        state = checkpoint.state
        found = experiment.evaluator(experiment.dataset.test)(state.params, state.statistics)
        return found.metrics["loss"]

    assert loss("sqrt") == pytest.approx(loss("reversible"), rel=1e-6)
    for kind in ("euler", "diffrax"):
        with pytest.raises(ConfigError, match="the same weights are another network"):
            load(path, [("model.block.integrator", {"kind": kind})])
