"""Train the networks of a comparison, evaluate each by every solver, and write the results."""

import csv
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from odenet.analysis.compare import (
    REFERENCE,
    REFERENCE_NAME,
    TRAINED,
    Row,
    Verdict,
    judge,
    make_row,
    not_asked,
)
from odenet.errors import ConfigError, OdenetError, RunDirectoryError
from odenet.experiment.config import (
    CompareConfig,
    ExperimentConfig,
    Overrides,
    read_experiment,
    to_yaml,
    variant,
)
from odenet.experiment.directory import (
    COMPARISON,
    CONFIG,
    RESULTS,
    RUN,
    RunDirectory,
    finite,
    full_disk_named,
    read_json,
)
from odenet.experiment.machine_options import resumed_config
from odenet.experiment.provenance import provenance, versions
from odenet.experiment.refinement.plan import check_schedule
from odenet.experiment.run import (
    Experiment,
    load,
    recorded_data_dir,
    resume,
    run,
)
from odenet.experiment.source import beginning
from odenet.integrators.equation import FIRST_ORDER
from odenet.models import DepthBlockConfig, Discretisation
from odenet.narration import doing, part, shown_on


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The results of a comparison.

    Attributes:
        experiment: Name of the experiment.
        rows: One row for each pair of training and evaluation method.
        verdicts: One verdict for each network.
        networks: Training costs, results and step sizes of each network.
    """

    experiment: str
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    networks: dict[str, dict[str, Any]]


def compare(
    config: ExperimentConfig,
    directory: Path | str,
    data_dir: Path | None = None,
    console: Console | None = None,
) -> Comparison:
    """Train and compare networks in a new run directory.

    Args:
        config: An experiment with a `compare` section.
        directory: The new run directory; it must not exist.
        data_dir: Folder of the published data sets, or None for the default folder.
        console: Console for progress, or None for no progress.

    Raises:
        OdenetError: see its subclasses.
    """
    for network in networks_of(config).values():
        beginning(network)
    directory = Path(directory)
    with full_disk_named(directory), RunDirectory.create(directory) as run_directory:
        run_directory.write_json(RUN, {"kind": "compare"} | provenance(data_dir, jax.devices()))
        run_directory.write_text(CONFIG, to_yaml(config))
        return _compare(config, run_directory, data_dir, console)


def resume_comparison(
    directory: Path,
    data_dir: Path | None = None,
    console: Console | None = None,
    overrides: Overrides = (),
) -> Comparison:
    """Continue a comparison: keep finished networks, and train the others to the end.

    Args:
        directory: The run directory of a comparison.
        data_dir: Folder of the published data sets, or None for the default folder.
        console: Console for progress, or None for no progress.
        overrides: As in `load_config`, for every network: devices, and intervals of records and
            checkpoints.

    Raises:
        OdenetError: see its subclasses.
    """
    with full_disk_named(directory), RunDirectory.open(directory) as run_directory:
        data_dir = recorded_data_dir(directory, data_dir)
        config = resumed_config(read_experiment(run_directory.file(CONFIG)), overrides)
        _refuse_lost_networks(config, run_directory)
        if overrides:
            run_directory.write_text(CONFIG, to_yaml(config))
        return _compare(config, run_directory, data_dir, console, overrides)


def _refuse_lost_networks(config: ExperimentConfig, run_directory: RunDirectory) -> None:
    """Refuse to train lost networks of a finished comparison again."""
    names = _section(config).networks
    lost = [name for name in names if not (run_directory.file("networks") / name / CONFIG).exists()]
    if lost and run_directory.file(COMPARISON).exists():
        raise RunDirectoryError(
            f"{run_directory.path} is finished ({COMPARISON} exists), but its networks "
            f"{', '.join(lost)} are gone, and to train them again would replace its results; "
            f"restore {run_directory.file('networks')} from a copy, or compare again under another "
            f"--out: odenet compare {run_directory.file(CONFIG)}"
        )


def networks_of(config: ExperimentConfig) -> dict[str, ExperimentConfig]:
    """The experiment of every network. All are checked before the first training.

    Raises:
        ConfigError: if there is no `compare` section, an override is wrong, or a network does not
            allow one of the evaluations.
    """
    section = _section(config)
    base = config.model_copy(update={"compare": None})
    networks = {}
    for name, overrides in section.networks.items():
        try:
            networks[name] = variant(base, overrides)
            training = networks[name].training.uses_batch_statistics
            networks[name].model.check_trainable(training=training)
            last = check_schedule(networks[name])
            # A network with other blocks than steps of a method is evaluated only as trained.
            solved = section.evaluate and _is_made_of_steps(networks[name])
            for block in last.model.blocks if solved else ():
                _refuse_without_reference(block.ode)
                for way in section.evaluate.values():
                    block.check_discretisation(way.build())
        except ConfigError as error:
            raise ConfigError(f"compare.networks.{name}: {error}") from error
    return networks


def _refuse_without_reference(block: DepthBlockConfig) -> None:
    if block.integrator.equation != FIRST_ORDER:
        raise ConfigError(
            f"a comparison measures errors against a solve of h' = f(t, h), but integrator.kind="
            f"{block.integrator.kind} solves {block.integrator.equation.formula}; leave "
            f"this network out, or train it with another integrator"
        )


def _is_made_of_steps(config: ExperimentConfig) -> bool:
    return all(block.ode is not None for block in config.model.blocks)


def _section(config: ExperimentConfig) -> CompareConfig:
    if config.compare is None:
        raise ConfigError(
            f"experiment {config.name} has no `compare` section, so there is nothing to compare; "
            f"add one with networks and evaluate, or train it with: odenet run"
        )
    return config.compare


def _compare(
    config: ExperimentConfig,
    run_directory: RunDirectory,
    data_dir: Path | None,
    console: Console | None,
    overrides: Overrides = (),
) -> Comparison:
    section = _section(config)
    rows: list[Row] = []
    verdicts: list[Verdict] = []
    networks: dict[str, dict[str, Any]] = {}
    chosen = networks_of(config)
    for number, (name, network) in enumerate(chosen.items(), start=1):
        directory = run_directory.file("networks") / name
        of = f"network {number} of {len(chosen)} ({name})"
        try:
            with shown_on(console), part(of):
                experiment, state = _trained(network, directory, data_dir, console, overrides)
        except OdenetError as error:
            # The user resumes the whole comparison, not this network alone.
            error.resume_from = error.resume_from and run_directory.path
            error.instead = error.instead and (
                f"odenet resume would stop there again; change network {name} in a copy of the "
                f"experiment file, and compare again under another --out"
            )
            raise
        ways = {TRAINED: Discretisation()}
        ways |= {key: way.build() for key, way in section.evaluate.items()}
        with shown_on(console), part(of):
            found = _evaluate(name, experiment, state, ways)
        rows += found.values()
        could = _is_made_of_steps(network) and not section.evaluate
        verdicts.append(
            not_asked(name, section.threshold) if could else judge(name, found, section.threshold)
        )
        networks[name] = {"directory": str(directory.relative_to(run_directory.path))}
        networks[name] |= read_json(directory / RESULTS)
    comparison = Comparison(config.name, tuple(rows), tuple(verdicts), networks)
    _write(comparison, run_directory)
    return comparison


def _trained(
    config: ExperimentConfig,
    directory: Path,
    data_dir: Path | None,
    console: Console | None,
    overrides: Overrides,
) -> tuple[Experiment, Any]:
    """The trained network: read from disk, resumed, or trained from the start."""
    if (directory / RESULTS).exists():
        experiment, checkpoint = load(directory, data_dir=data_dir)
        # If the last checkpoint is damaged, load() gives an earlier one: train it to the end.
        if checkpoint.step == config.training.num_steps:
            return experiment, checkpoint.state
    if (directory / CONFIG).exists():
        trained = resume(directory, data_dir, console, overrides=overrides)
    else:
        trained = run(resumed_config(config, overrides), directory, data_dir, console)
    return trained.experiment, trained.state


def _evaluate(
    name: str, experiment: Experiment, state: Any, ways: Mapping[str, Discretisation]
) -> dict[str, Row]:
    test = experiment.dataset.test

    def evaluate(way: Discretisation | None, what: str):
        with doing(what):
            return experiment.evaluator(test, way)(state.params, state.statistics)

    def row(way_name: str, found, reference):
        return make_row(name, way_name, found, reference, experiment.num_parameters)

    if not _is_made_of_steps(experiment.config) or list(ways) == [TRAINED]:
        return {TRAINED: row(TRAINED, evaluate(None, "evaluating"), None)}
    reference = evaluate(REFERENCE, "reference solve")
    rows = {
        key: row(key, evaluate(way, f"evaluating {key}"), reference) for key, way in ways.items()
    }
    return rows | {REFERENCE_NAME: row(REFERENCE_NAME, reference, reference)}


def _write(comparison: Comparison, run_directory: RunDirectory) -> None:
    rows = [finite(dataclasses.asdict(row)) for row in comparison.rows]
    with run_directory.file("comparison.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=[field.name for field in dataclasses.fields(Row)])
        writer.writeheader()
        writer.writerows(rows)
    values = {
        "experiment": comparison.experiment,
        "criterion": "Ott et al. 2021, arXiv:2007.15386",
        "rows": rows,
        "verdicts": [finite(dataclasses.asdict(verdict)) for verdict in comparison.verdicts],
        "networks": comparison.networks,
        "versions": versions(),
        "device": jax.devices()[0].device_kind,
    }
    run_directory.write_json(COMPARISON, values)
