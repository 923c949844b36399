"""config -> objects -> fit -> run directory, and back from a run directory to a trained network."""

import dataclasses
import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from odenet.allocator import keep_freed_memory
from odenet.analysis.flow_monitor import FlowMonitor
from odenet.data import find_data_dir
from odenet.errors import CheckpointError, RunDirectoryError, RunFailure
from odenet.experiment.build import Experiment, build
from odenet.experiment.config import ExperimentConfig, read_experiment, to_yaml
from odenet.experiment.directory import (
    CONFIG,
    GRADIENT_FLOW_LINES,
    METRICS,
    RESULTS,
    RUN,
    STATUS,
    RunDirectory,
    full_disk_named,
    git_commit,
    read_json,
    require,
)
from odenet.experiment.source import beginning, recorded, restore_start, save_start
from odenet.integrators.equation import refuse_other_equation
from odenet.models import DepthBlockConfig, Network
from odenet.training import Callback, Checkpointer, Evaluator, Fit, TrainState
from odenet.training.callbacks import EventFile, MetricsFile, ProgressBar
from odenet.training.checkpoint import Checkpoint, Which
from odenet.training.interrupt import Interrupted
from odenet.training.loop import Progress

_LIBRARIES = ("jax", "jaxlib", "flax", "optax", "diffrax", "orbax-checkpoint", "grain", "numpy")


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network that was trained, as it is in memory.

    Attributes:
        experiment: What it was built from.
        state: The state after the last step.
        results: What `results.json` holds.
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


def versions() -> dict[str, str]:
    """Versions of the package and of what it computes with."""
    names = ("odenet", *_LIBRARIES)
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in names
    }


def run(
    config: ExperimentConfig,
    directory: Path | str,
    data_dir: Path | None = None,
    console: Console | None = None,
    callbacks: Sequence[Callback] = (),
) -> Trained:
    """Train an experiment into a new run directory.

    Args:
        config: The experiment.
        directory: Where everything is written; it must not exist.
        data_dir: Folder of the published data sets, or None for the usual places.
        console: Where progress is shown, or None for nowhere.
        callbacks: Run after the usual ones.

    Raises:
        OdenetError: as its children say.
    """
    config.model.check_trainable(live=config.training.live_statistics)
    experiment, directory = build(config, data_dir, beginning(config)), Path(directory)
    if config.training.gradient_flow_every is not None:
        experiment.flow_meter(experiment.dataset.train)  # refuses now what it could not measure
    with full_disk_named(directory), RunDirectory.create(directory) as place:
        about = {"num_parameters": experiment.num_parameters, "kind": "run"}
        about |= {"data_source": experiment.dataset.source}
        if experiment.origin is not None:
            about |= {"start": dataclasses.asdict(experiment.origin)}
            save_start(experiment, place.file("checkpoints"))
        place.write_json(RUN, about | provenance(data_dir, experiment.placement.devices))
        place.write_text(CONFIG, to_yaml(config))
        return _fit(experiment, place, None, console, callbacks)


def resume(
    directory: Path | str,
    data_dir: Path | None = None,
    console: Console | None = None,
    callbacks: Sequence[Callback] = (),
) -> Trained:
    """Continue a run from its last whole checkpoint to exactly what it would have become.

    Args:
        directory: A run directory.
        data_dir: Folder of the published data sets, or None for the usual places.
        console: Where progress is shown, or None for nowhere.
        callbacks: Run after the usual ones.

    Raises:
        OdenetError: as its children say.
    """
    directory = Path(directory)
    with full_disk_named(directory), RunDirectory.open(directory) as place:
        data_dir = recorded_data_dir(directory, data_dir)
        config = read_experiment(place.file(CONFIG))
        experiment = build(config, data_dir, recorded(directory, config))
        experiment = restore_start(experiment, place.file("checkpoints"))
        checkpointer = Checkpointer(place.file("checkpoints"))
        checkpoint = checkpointer.restore("last", experiment.start)
        checkpointer.close()
        return _fit(experiment, place, checkpoint, console, callbacks)


def load(
    directory: Path | str,
    overrides: Sequence[tuple[str, Any]] = (),
    which: Which = "last",
    data_dir: Path | None = None,
) -> tuple[Experiment, Checkpoint]:
    """A trained network from its run directory, maybe under another integrator.

    Args:
        directory: A run directory.
        overrides: Pairs of dotted key and value; they must leave the parameters' shapes alone.
        which: The last checkpoint or the best.
        data_dir: Folder of the published data sets, or None for the usual places.

    Raises:
        OdenetError: as its children say.
    """
    directory = Path(directory)
    require(directory, CONFIG)
    config = read_experiment(directory / CONFIG, overrides)
    if overrides:
        _refuse_other_equations(read_experiment(directory / CONFIG), config)
    data_dir = recorded_data_dir(directory, data_dir)
    experiment = build(config, data_dir, recorded(directory, config))
    experiment = restore_start(experiment, directory / "checkpoints")
    checkpointer = Checkpointer(directory / "checkpoints")
    try:
        checkpoint = checkpointer.restore(which, experiment.start)
    finally:
        checkpointer.close()
    if checkpoint is None:
        raise CheckpointError(f"{directory} has no {which} checkpoint yet; run or resume it first")
    return experiment, checkpoint


def _refuse_other_equations(trained: ExperimentConfig, asked: ExperimentConfig) -> None:
    for own, other in zip(trained.model.blocks, asked.model.blocks, strict=False):
        # Blocks of other kinds or numbers have other parameters: restoring them says so.
        if isinstance(own, DepthBlockConfig) and isinstance(other, DepthBlockConfig):
            refuse_other_equation(own.integrator, other.integrator)


def provenance(data_dir: Path | None, devices: Sequence[Any]) -> dict[str, Any]:
    """What a run was made by and on: command, versions, commit, devices, folder of the data."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": versions(),
        "git_commit": git_commit(),
        "device": devices[0].device_kind,
        "num_devices": len(devices),
        "data_dir": str(find_data_dir(data_dir).absolute()),
    }


def recorded_data_dir(directory: Path, given: Path | None) -> Path | None:
    """The folder that is given, or else the one that the run was started with."""
    if given is not None or os.environ.get("ODENET_DATA_DIR"):
        return given
    return Path(read_json(directory / RUN)["data_dir"])


def _fit(
    experiment: Experiment,
    place: RunDirectory,
    checkpoint: Checkpoint | None,
    console: Console | None,
    callbacks: Sequence[Callback],
) -> Trained:
    training = experiment.config.training
    step = 0 if checkpoint is None else checkpoint.step
    if checkpoint is not None and step == training.num_steps and place.file(RESULTS).exists():
        raise RunDirectoryError(
            f"{place.path} is complete at step {step}; evaluate it with: odenet eval {place.path}"
        )
    usual: list[Callback] = [
        MetricsFile(place.file(METRICS), step),
        EventFile(place.file("events"), step),
    ]
    if training.gradient_flow_every is not None:
        meter = experiment.flow_meter(experiment.dataset.train)
        usual.append(FlowMonitor(meter, place.file(GRADIENT_FLOW_LINES), step))
    if console is not None:
        usual.append(ProgressBar(console, place.path.name))
    resident = experiment.resident()
    checkpointer = Checkpointer(place.file("checkpoints"), training.keep_checkpoints)
    validation = experiment.evaluator(experiment.dataset.validation)
    test = experiment.evaluator(experiment.dataset.test)
    with experiment.batches() as batches:
        program = experiment.compile(resident, next(batches))
        if program.peak_bytes is not None and experiment.placement.devices[0].platform == "cpu":
            keep_freed_memory(program.peak_bytes)
        batches.restore(batches.state() | {"step": 0})
        state, progress = experiment.start, Progress()
        if checkpoint is not None:
            state = experiment.placement.place(checkpoint.state)
            batches.restore(checkpoint.extras["data"])
            progress = Progress(**checkpoint.extras["progress"])
        fit = Fit(
            training,
            program,
            experiment.placement,
            resident,
            batches,
            validation,
            checkpointer,
            [*usual, *callbacks],
            progress,
            experiment.finish(),
            test if training.watch_test else None,
        )
        place.write_json(STATUS, {"state": "running", "step": step})
        try:
            state = fit.run(state)
        except (RunFailure, Interrupted) as error:
            place.write_json(STATUS, {"state": "stopped", "reason": str(error)})
            error.resume_from = place.path
            raise
        finally:
            checkpointer.close()
    results = _results(experiment, fit, state, test)
    place.write_json(RESULTS, results)
    place.write_json(STATUS, {"state": "complete", "step": training.num_steps})
    return Trained(experiment, state, results, place.path)


def _results(
    experiment: Experiment, fit: Fit, state: TrainState, evaluator: Evaluator
) -> dict[str, Any]:
    test = evaluator(state.params, state.statistics)
    trained = experiment.network(state.params, state.statistics)
    return {
        "step": int(jax.device_get(state.step)),
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
