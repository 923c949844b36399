"""Training of an experiment in its run directory, through all changes of its depth."""

import contextlib
import dataclasses
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from odenet.allocator import keep_freed_memory
from odenet.analysis.monitor import Monitor
from odenet.errors import NonFiniteLoss, OdenetError, RunDirectoryError, RunFailure
from odenet.experiment.build import Experiment
from odenet.experiment.config import ExperimentConfig
from odenet.experiment.directory import (
    CONFIG,
    METRICS,
    RESULTS,
    STATUS,
    RunDirectory,
)
from odenet.experiment.held_network import changed_at
from odenet.experiment.ignored_settings import warn_of_ignored_precision
from odenet.experiment.phase import Phase
from odenet.experiment.refinement.next_phase import next_phase, phase_records
from odenet.experiment.refinement.plan import DepthPlan
from odenet.models import Network
from odenet.narration import doing
from odenet.training import Callback, Checkpointer, Fit, TrainState
from odenet.training.callbacks import MetricsFile
from odenet.training.checkpoint import Checkpoint, steps_on_disk
from odenet.training.event_file import EventFile
from odenet.training.interrupt import Interrupted
from odenet.training.loop import Progress
from odenet.training.monitor_config import monitor_file
from odenet.training.progress_bar import ProgressBar


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained network in memory.

    Attributes:
        experiment: Its experiment; after changes of depth, with the last network.
        state: The state after the last step.
        results: Content of `results.json`.
        directory: Its run directory.
    """

    experiment: Experiment
    state: TrainState
    results: dict[str, Any]
    directory: Path

    @property
    def network(self) -> Network:
        """The trained network: `network(x) -> Prediction`, for normalised inputs."""
        return self.experiment.network(self.state.params, self.state.statistics)


def fit(
    experiment: Experiment,
    run_directory: RunDirectory,
    checkpoint: Checkpoint | None,
    console: Console | None,
    callbacks: Sequence[Callback],
) -> Trained:
    """Train to the end, and write the results.

    After a change of depth, the new network is trained by a newly compiled program, with the same
    run directory.

    Args:
        experiment: The experiment; with a checkpoint, that of the network in the checkpoint.
        run_directory: The run directory, locked.
        checkpoint: Checkpoint from which the run continues, or None.
        console: Console for progress, or None for no progress.
        callbacks: Callbacks that run after the default ones.

    Raises:
        OdenetError: see its subclasses.
    """
    warn_of_ignored_precision()
    if checkpoint is not None:
        _refuse_complete(run_directory, checkpoint.step, experiment.config.training.num_steps)
    try:
        return _through_depths(experiment, run_directory, checkpoint, console, callbacks)
    except BaseException as error:
        _stopped(run_directory, experiment.config, error)
        raise


def _through_depths(
    experiment: Experiment,
    run_directory: RunDirectory,
    checkpoint: Checkpoint | None,
    console: Console | None,
    callbacks: Sequence[Callback],
) -> Trained:
    training = experiment.config.training
    plan = None if training.depth_schedule is None else DepthPlan(training.depth_schedule)
    if checkpoint is None:
        phase = Phase(experiment, experiment.start, 0, None, Progress(), {})
    else:
        phase = _recorded(experiment, checkpoint)
        # A change of depth that was due at the stop is repeated from the same state.
        if plan is not None and changed_at(checkpoint.extras) != phase.step < training.num_steps:
            phase = _changed(phase, run_directory, plan) or phase
    while True:
        trained, state = _train(phase, run_directory, plan, console, callbacks)
        step = int(jax.device_get(state.step))
        after = dataclasses.replace(
            phase, state=state, step=step, data=trained.position, progress=trained.fit.progress
        )
        if plan is None or step == training.num_steps:
            break
        changed = _changed(after, run_directory, plan)
        assert changed is not None
        phase = changed
    results = _results(after, trained.fit, run_directory)
    run_directory.write_json(RESULTS, results)
    run_directory.write_json(STATUS, {"state": "complete", "step": training.num_steps})
    return Trained(after.experiment, state, results, run_directory.path)


def _stopped(run_directory: RunDirectory, config: ExperimentConfig, error: BaseException) -> None:
    """Record the reason of an early end, and tell the user how to continue."""
    saved = steps_on_disk(run_directory.file("checkpoints") / "last")
    step = int(saved[0].name) if saved else None
    if isinstance(error, Interrupted):
        error.resume_from = run_directory.path
    elif isinstance(error, RunFailure):
        error.instead = _instead(run_directory.path, config, step, error)
    reason = str(error) if isinstance(error, OdenetError) else f"{type(error).__name__}: {error}"
    status = {"state": "stopped", "reason": reason}
    with contextlib.suppress(OSError):  # a full disk may be the reason
        run_directory.write_json(STATUS, status | ({} if step is None else {"step": step}))


def _instead(path: Path, config: ExperimentConfig, step: int | None, error: RunFailure) -> str:
    """The advice for a run that would fail at the same step again."""
    file, change = shlex.quote(str(path / CONFIG)), "KEY=VALUE"
    if isinstance(error, NonFiniteLoss):
        rate = config.training.optimizer.learning_rate / 10
        change = f"training.optimizer.learning_rate={rate:g}"
    told = "odenet resume would stop there again; after a change of the named cause, "
    if step is None or config.training.depth_schedule is not None:
        return f"{told}run it again: odenet run {file} {change}"
    start = shlex.quote(f"start={{run: {path}}}")
    return (
        f"{told}a new run can continue from the weights of step {step}: odenet run {file} {start} "
        f"{change}"
    )


def _refuse_complete(run_directory: RunDirectory, step: int, num_steps: int) -> None:
    if step > num_steps:
        raise RunDirectoryError(
            f"{run_directory.path} is at step {step}, beyond the {num_steps} of "
            f"training.num_steps in its {CONFIG}; set a larger value, or evaluate it with: "
            f"odenet eval {run_directory.path}"
        )
    if step == num_steps and run_directory.file(RESULTS).exists():
        raise RunDirectoryError(
            f"{run_directory.path} is complete at step {step}; evaluate it with: "
            f"odenet eval {run_directory.path}"
        )


def _recorded(experiment: Experiment, checkpoint: Checkpoint) -> Phase:
    """The training phase of a checkpoint."""
    own = ("data", "progress")
    return Phase(
        experiment,
        experiment.placement.place(checkpoint.state),
        checkpoint.step,
        checkpoint.extras.get("data"),  # imported weights may have no position in the data
        Progress(**checkpoint.extras["progress"]),
        {key: value for key, value in checkpoint.extras.items() if key not in own},
    )


def _changed(phase: Phase, run_directory: RunDirectory, plan: DepthPlan) -> Phase | None:
    """The phase with the next network, or None if no change of depth is due."""
    change = plan.due(phase.experiment, phase.step, phase.state)
    return None if change is None else next_phase(phase, change, run_directory)


def _leaves(
    experiment: Experiment, plan: DepthPlan | None
) -> Callable[[int, TrainState], bool] | None:
    """A function that tells whether the network changes after a step, or None without a plan."""
    if plan is None:
        return None
    return lambda step, state: plan.due(experiment, step, state) is not None


@dataclasses.dataclass(frozen=True)
class _Trained:
    """The training of one network: its `Fit`, and its final position in the data."""

    fit: Fit
    position: Mapping[str, Any]


def _train(
    phase: Phase,
    run_directory: RunDirectory,
    plan: DepthPlan | None,
    console: Console | None,
    callbacks: Sequence[Callback],
) -> tuple[_Trained, TrainState]:
    """Train one network, to the last step or to its change of depth."""
    experiment, step = phase.experiment, phase.step
    training = experiment.config.training
    usual: list[Callback] = [
        MetricsFile(run_directory.file(METRICS), step),
        EventFile(run_directory.file("events"), step),
    ]
    for monitor in training.monitors:
        probe, every = monitor.build(experiment), training.monitor_interval(monitor)
        file = run_directory.file(monitor_file(monitor.kind))
        usual.append(Monitor(monitor.kind, probe, every, file, step))
    if console is not None:
        usual.append(ProgressBar(console, run_directory.path.name))
    resident = experiment.resident()
    checkpointer = Checkpointer(run_directory.file("checkpoints"), training.keep_checkpoints)
    validation = experiment.evaluator(experiment.dataset.validation)
    test = experiment.evaluator(experiment.dataset.test) if training.watch_test else None
    with experiment.batches() as batches:
        with doing("compiling the training step"):
            program = experiment.compile(resident, next(batches))
        if program.peak_bytes is not None and experiment.placement.devices[0].platform == "cpu":
            keep_freed_memory(program.peak_bytes)
        batches.restore(phase.data or batches.state() | {"step": 0})
        fit = Fit(
            training,
            program,
            experiment.placement,
            resident,
            batches,
            validation,
            checkpointer,
            [*usual, *callbacks],
            phase.progress,
            experiment.finish(),
            test,
            _leaves(experiment, plan),
            phase.extras,
            lambda state: experiment.network(state.params, state.statistics),
        )
        run_directory.write_json(STATUS, {"state": "running", "step": step})
        try:
            state = fit.run(phase.state)
        finally:
            checkpointer.close()
        return _Trained(fit, batches.state()), state


def _results(phase: Phase, fit: Fit, run_directory: RunDirectory) -> dict[str, Any]:
    experiment, state = phase.experiment, phase.state
    evaluator = fit.watch_test or experiment.evaluator(experiment.dataset.test)
    with doing("evaluating on test"):
        test = evaluator(state.params, state.statistics)
    trained = experiment.network(state.params, state.statistics)
    results = {
        "step": phase.step,
        "test": test.metrics,
        "best_validation_score": fit.progress.best_score,
        "best_step": fit.progress.best_step,
        "solver_failures": fit.progress.solver_failures,
        "num_parameters": experiment.num_parameters,
        "taus": [taus.tolist() for taus in jax.device_get(trained.taus())],
        "steps_per_dispatch": fit.config.dispatch_steps,
        "step_seconds": float(np.median(fit.step_seconds)) if fit.step_seconds else None,
        "compile_seconds": fit.program.compile_seconds,
        "evaluation_compile_seconds": test.compile_seconds,
        "peak_bytes": fit.program.peak_bytes,
    }
    if experiment.config.training.depth_schedule is None:
        return results
    return results | {"levels": phase_records(run_directory)}
