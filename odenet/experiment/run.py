"""Train, resume and load: from a config to a run directory, and back to a trained network."""

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
        directory: The new run directory; it must not exist.
        data_dir: Folder of the published data sets, or None for the default folder.
        console: Console for progress, or None for no progress.
        callbacks: Callbacks that run after the default ones.
        report: Called with the run directory after the training; `odenet.write_report` makes the
            figures and the page that the command makes.

    Raises:
        OdenetError: see its subclasses.
    """
    config.model.check_trainable(training=config.training.uses_batch_statistics)
    check_schedule(config)
    directory = Path(directory)
    with shown_on(console):
        experiment = build(config, data_dir, beginning(config))
    experiment.check_statistics()
    for monitor in config.training.monitors:
        monitor.build(experiment)  # raises errors of monitors before the training
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
    """Continue a run from its last intact checkpoint, with the result of an uninterrupted run.

    A run that was stopped before its first checkpoint starts again at step 0. If a checkpoint or
    imported weights are lost, nothing is replaced, and the error names the remedies.

    Args:
        directory: A run directory.
        data_dir: Folder of the published data sets, or None for the default folder.
        console: Console for progress, or None for no progress.
        callbacks: Callbacks that run after the default ones.
        which: The last checkpoint; or the best, if the last is lost.
        report: Called with the run directory after the training; `odenet.write_report` makes the
            figures and the page that the command makes.
        overrides: As in `load_config`: devices, and intervals of records and checkpoints. They are
            stored in `config.yaml`. With other devices, results agree up to round-off.

    Raises:
        OdenetError: see its subclasses.
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
    """Load a trained network from its run directory, optionally under another integrator.

    Args:
        directory: A run directory.
        overrides: `dotted.key=value` or a mapping; the shapes of parameters must stay.
        which: The last checkpoint or the best.
        data_dir: Folder of the published data sets, or None for the default folder.

    Raises:
        OdenetError: see its subclasses.
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
        directory, config, overrides, which, data_dir, found, for_evaluation=True
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
    for_evaluation: bool = False,
) -> tuple[Experiment, Checkpoint | None]:
    """The experiment with the network of a checkpoint, and the checkpoint in its structure."""
    extras = {} if found is None else found.extras
    trained = config = held_by(config, extras)
    if overrides:
        config = parse_config(to_values(config), overrides, str(directory / CONFIG))
    if for_evaluation:
        config = on_these_devices(config, overrides)
    experiment = build(config, data_dir, recorded(directory, config))
    if overrides and found is not None:
        refuse_other_parameters(found, experiment, trained, override_pairs(overrides), directory)
    if changed_at(extras) is None:  # otherwise the start checkpoint holds another network
        experiment = restore_start(experiment, directory / "checkpoints")
    if found is None:
        return experiment, None
    what = f"checkpoint {directory / 'checkpoints' / which}, step {found.step}"
    return experiment, fitted(found, experiment.template, what)


def _refuse_other_equations(trained: ExperimentConfig, asked: ExperimentConfig) -> None:
    for own, other in zip(trained.model.blocks, asked.model.blocks, strict=False):
        # For blocks of other kinds or numbers, the restoration of parameters raises the error.
        if own.residual is not None and other.residual is not None:
            refuse_other_equation(
                own.residual.integrator.equation, other.residual.integrator.equation
            )


def recorded_data_dir(directory: Path, given: Path | None) -> Path | None:
    """The given data folder, or else the folder recorded by the run."""
    if given is not None or os.environ.get("ODENET_DATA_DIR"):
        return given
    return Path(read_json(directory / RUN)["data_dir"])
