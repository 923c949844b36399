"""config -> objects -> fit -> run directory, and back from a run directory to a trained network."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from odenet.experiment.build import Experiment, build
from odenet.experiment.config import (
    ExperimentConfig,
    Overrides,
    override_pairs,
    parse_config,
    read_experiment,
    to_values,
    to_yaml,
)
from odenet.experiment.continuation import (
    checkpoint_to_continue,
    keep_given,
    missing,
    save_again,
    with_best,
)
from odenet.experiment.directory import (
    CONFIG,
    RUN,
    RunDirectory,
    full_disk_named,
    read_json,
    require,
)
from odenet.experiment.fit import Trained as Trained
from odenet.experiment.fit import fit
from odenet.experiment.held_network import changed_at, held_by
from odenet.experiment.machine_options import in_step, on_these_devices, resumed_config
from odenet.experiment.provenance import provenance
from odenet.experiment.refinement.plan import check_schedule
from odenet.experiment.same_parameters import refuse_other_parameters
from odenet.experiment.source import beginning, recorded, restore_start, save_start
from odenet.integrators.equation import refuse_other_equation
from odenet.narration import shown_on
from odenet.training import Callback, Checkpointer
from odenet.training.checkpoint import Checkpoint, Which, fitted


def run(
    config: ExperimentConfig,
    directory: Path | str,
    data_dir: Path | None = None,
    console: Console | None = None,
    callbacks: Sequence[Callback] = (),
    report: Callable[[Path], Path] | None = None,
) -> Trained:
    """Train an experiment into a new run directory.

    Args:
        config: The experiment.
        directory: Where everything is written; it must not exist.
        data_dir: Folder of the published data sets, or None for the usual places.
        console: Where progress is shown, or None for nowhere.
        callbacks: Run after the usual ones.
        report: Called with the run directory after the training; `odenet.write_report` makes the
            figures and the page that the command makes.

    Raises:
        OdenetError: as its children say.
    """
    config.model.check_trainable(training=config.training.uses_batch_statistics)
    check_schedule(config)
    directory = Path(directory)
    with shown_on(console):
        experiment = build(config, data_dir, beginning(config))
    experiment.check_statistics()
    for monitor in config.training.monitors:
        monitor.build(experiment)  # refuses now what it could not measure
    with full_disk_named(directory), RunDirectory.create(directory) as run_directory:
        about = {"num_parameters": experiment.num_parameters, "kind": "run"}
        about |= {"data_source": experiment.dataset.source}
        if experiment.origin is not None:
            about |= {"start": dataclasses.asdict(experiment.origin)}
            save_start(experiment, run_directory.file("checkpoints"))
        run_directory.write_json(RUN, about | provenance(data_dir, experiment.placement.devices))
        run_directory.write_text(CONFIG, to_yaml(config))
        with shown_on(console):
            trained = fit(experiment, run_directory, None, console, callbacks)
    if report is not None:
        report(directory)
    return trained


def resume(
    directory: Path | str,
    data_dir: Path | None = None,
    console: Console | None = None,
    callbacks: Sequence[Callback] = (),
    which: Which = "last",
    report: Callable[[Path], Path] | None = None,
    overrides: Overrides = (),
) -> Trained:
    """Continue a run from its last whole checkpoint to exactly what it would have become.

    A run that was stopped before its first checkpoint begins again. Where a checkpoint was and is
    lost, or weights came from elsewhere, nothing is replaced: the error says how to go on.

    Args:
        directory: A run directory.
        data_dir: Folder of the published data sets, or None for the usual places.
        console: Where progress is shown, or None for nowhere.
        callbacks: Run after the usual ones.
        which: The last checkpoint; or the best, where the last is lost.
        report: Called with the run directory after the training; `odenet.write_report` makes the
            figures and the page that the command makes.
        overrides: As in `load_config`: devices, and how often something is written. They are kept
            in `config.yaml`. With other devices, numbers are the same to round-off.

    Raises:
        OdenetError: as its children say.
    """
    directory = Path(directory)
    with full_disk_named(directory), RunDirectory.open(directory) as run_directory:
        data_dir = recorded_data_dir(directory, data_dir)
        config = resumed_config(read_experiment(run_directory.file(CONFIG)), overrides)
        found = checkpoint_to_continue(directory, which)
        now = in_step(config, 0 if found is None else found.step)
        with shown_on(console):
            experiment, checkpoint = _restored(directory, now, (), which, data_dir, found)
        if overrides:
            run_directory.write_text(CONFIG, to_yaml(config))
        if checkpoint is not None:
            keep_given(directory, checkpoint)
            if which == "best":
                save_again(directory, "last", checkpoint)
            checkpoint = with_best(directory, checkpoint)
        with shown_on(console):
            trained = fit(experiment, run_directory, checkpoint, console, callbacks)
    if report is not None:
        report(directory)
    return trained


def load(
    directory: Path | str,
    overrides: Overrides = (),
    which: Which = "last",
    data_dir: Path | None = None,
) -> tuple[Experiment, Checkpoint]:
    """A trained network from its run directory, maybe under another integrator.

    Args:
        directory: A run directory.
        overrides: `dotted.key=value` or a mapping; they must leave the parameters' shapes alone.
        which: The last checkpoint or the best.
        data_dir: Folder of the published data sets, or None for the usual places.

    Raises:
        OdenetError: as its children say.
    """
    directory = Path(directory)
    require(directory, CONFIG)
    config = read_experiment(directory / CONFIG)
    if overrides:
        _refuse_other_equations(config, read_experiment(directory / CONFIG, overrides))
    data_dir = recorded_data_dir(directory, data_dir)
    checkpointer = Checkpointer(directory / "checkpoints")
    try:
        found = checkpointer.read(which)
    finally:
        checkpointer.close()
    if found is None:
        raise missing(directory, which)
    experiment, checkpoint = _restored(
        directory, config, overrides, which, data_dir, found, to_look_at=True
    )
    assert checkpoint is not None
    return experiment, checkpoint


def _restored(
    directory: Path,
    config: ExperimentConfig,
    overrides: Overrides,
    which: Which,
    data_dir: Path | None,
    found: Checkpoint | None,
    *,
    to_look_at: bool = False,
) -> tuple[Experiment, Checkpoint | None]:
    """The experiment with the network that a checkpoint holds, and the checkpoint fitted to it."""
    extras = {} if found is None else found.extras
    trained = config = held_by(config, extras)
    if overrides:
        config = parse_config(to_values(config), overrides, str(directory / CONFIG))
    if to_look_at:
        config = on_these_devices(config, overrides)
    experiment = build(config, data_dir, recorded(directory, config))
    if overrides and found is not None:
        refuse_other_parameters(found, experiment, trained, override_pairs(overrides), directory)
    if changed_at(extras) is None:  # what it began with was another network otherwise
        experiment = restore_start(experiment, directory / "checkpoints")
    if found is None:
        return experiment, None
    what = f"checkpoint {directory / 'checkpoints' / which}, step {found.step}"
    return experiment, fitted(found, experiment.start, what)


def _refuse_other_equations(trained: ExperimentConfig, asked: ExperimentConfig) -> None:
    for own, other in zip(trained.model.blocks, asked.model.blocks, strict=False):
        # Blocks of other kinds or numbers have other parameters: restoring them says so.
        if own.residual is not None and other.residual is not None:
            refuse_other_equation(
                own.residual.integrator.equation, other.residual.integrator.equation
            )


def recorded_data_dir(directory: Path, given: Path | None) -> Path | None:
    """The folder that is given, or else the one that the run was started with."""
    if given is not None or os.environ.get("ODENET_DATA_DIR"):
        return given
    return Path(read_json(directory / RUN)["data_dir"])
