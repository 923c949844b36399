"""The source run of an experiment with `start`: read once, when the experiment begins."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax

from odenet.errors import CheckpointError, ConfigError, RunDirectoryError
from odenet.experiment.build import Experiment
from odenet.experiment.config import ExperimentConfig, read_experiment
from odenet.experiment.continuation import missing
from odenet.experiment.directory import CONFIG, RUN, is_comparison, read_json
from odenet.experiment.held_network import held_by
from odenet.experiment.start import Begin, Origin
from odenet.integrators.equation import refuse_other_equation
from odenet.models import DepthBlockConfig
from odenet.models.transfer import transfer
from odenet.training.checkpoint import Checkpoint, Checkpointer, Which, named, steps_on_disk


@dataclasses.dataclass(frozen=True)
class Source:
    """A source run of weights.

    Attributes:
        directory: Its run directory.
        config: Its experiment, with the network of the checkpoint.
        checkpoint: One of its checkpoints, with arrays by path.
    """

    directory: Path
    config: ExperimentConfig
    checkpoint: Checkpoint


def read_source(directory: Path, which: Which, key: str = "") -> Source:
    """Read the experiment and a checkpoint of a source run.

    Args:
        directory: Its run directory.
        which: The last checkpoint or the best.
        key: Key of the directory in the experiment, for errors.

    Raises:
        RunDirectoryError: if the directory does not exist, or is not that of a single run.
        CheckpointError: if the checkpoint is missing or damaged.
    """
    given = f"{key}={directory}" if key else str(directory)
    if not (directory / CONFIG).is_file():
        what = "is no run directory" if directory.is_dir() else "does not exist"
        raise RunDirectoryError(
            f"{given} {what} ({directory.absolute()}); it may have been moved or removed: give "
            f"its present path"
        )
    if is_comparison(directory):
        names = sorted(path.name for path in (directory / "networks").glob("*"))
        raise RunDirectoryError(
            f"{given} is a comparison; name one of its networks, such as "
            f"{directory / 'networks' / (names or ['NAME'])[0]}"
        )
    checkpointer = Checkpointer(directory / "checkpoints")
    try:
        checkpoint = checkpointer.read(which)
    finally:
        checkpointer.close()
    if checkpoint is None:
        raise missing(directory, which, given)
    config = held_by(read_experiment(directory / CONFIG), checkpoint.extras)
    return Source(directory, config, checkpoint)


def beginning(config: ExperimentConfig) -> Begin | None:
    """The function that takes the first weights from the source run, or None without `start`.

    Raises:
        OdenetError: if the source run cannot be read, or its blocks give the weights another
            meaning.
    """
    start = config.start
    if start is None:
        return None
    source = read_source(Path(start.run), start.checkpoint, "start.run")
    pairs = zip(source.config.model.blocks, config.model.blocks, strict=False)
    for index, (trained, own) in enumerate(pairs):
        try:
            _refuse_other_meaning(trained.residual, own.residual)
        except ConfigError as error:
            raise ConfigError(f"model.stages.{index}: {error}") from error

    def begin(params: Any, statistics: Any) -> tuple[Any, Any, Origin]:
        initialised = {"params": params, "statistics": statistics}
        wanted = ("params/", "statistics/")
        arrays = source.checkpoint.state
        there = {path: leaf for path, leaf in arrays.items() if path.startswith(wanted)}
        try:
            found = transfer(named(initialised), there, start.first, start.last)
        except ConfigError as error:
            raise ConfigError(f"start.run={start.run} does not fit: {error}") from error
        leaves = [found.arrays[path] for path in named(initialised)]
        tree = jax.tree.unflatten(jax.tree.structure(initialised), leaves)
        origin = Origin(
            str(source.directory.absolute()),
            source.config.name,
            start.checkpoint,
            source.checkpoint.step,
            source.checkpoint.sha256,
            found.transferred,
            found.new,
        )
        return tree["params"], tree["statistics"], origin

    return begin


def recorded(directory: Path, config: ExperimentConfig) -> Begin | None:
    """The start of a run according to its own record, without reading the source run again.

    Raises:
        RunDirectoryError: if the record is missing.
    """
    if config.start is None:
        return None
    record = read_json(directory / RUN).get("start")
    if record is None:
        raise RunDirectoryError(
            f"{directory / RUN} does not record the source of the first weights, but {CONFIG} has "
            f"start; run it again under another --out"
        )
    lists = {name: tuple(record[name]) for name in ("transferred", "new")}
    origin = Origin(**(record | lists))
    return lambda params, statistics: (params, statistics, origin)


def save_start(experiment: Experiment, checkpoints: Path) -> None:
    """Save the start checkpoint of a run, which makes it independent of its source run."""
    checkpointer = Checkpointer(checkpoints)
    try:
        checkpointer.save("start", 0, experiment.start, {})
    finally:
        checkpointer.close()


def restore_start(experiment: Experiment, checkpoints: Path) -> Experiment:
    """The experiment with the saved start state of its run, if it has a start checkpoint.

    Raises:
        CheckpointError: if the start checkpoint is missing, damaged, or does not fit.
    """
    if experiment.origin is None and not steps_on_disk(checkpoints / "start"):
        return experiment
    checkpointer = Checkpointer(checkpoints)
    try:
        found = checkpointer.restore("start", experiment.template)
    finally:
        checkpointer.close()
    if found is None:
        assert experiment.origin is not None
        raise CheckpointError(
            f"{checkpoints} has no start checkpoint, which holds the weights from "
            f"{experiment.origin.run}; run it again under another --out"
        )
    return dataclasses.replace(
        experiment, init=functools.cache(lambda: experiment.placement.place(found.state))
    )


def _refuse_other_meaning(trained: DepthBlockConfig | None, own: DepthBlockConfig | None) -> None:
    """Refuse another meaning of the weights of a block; their shapes are checked later."""
    if trained is None or own is None:
        return
    refuse_other_equation(trained.integrator.equation, own.integrator.equation)
    own.step_sizes.check_start(trained.step_sizes, (trained.num_steps, own.num_steps))
