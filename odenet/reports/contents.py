"""The contents of a run directory as plain data."""

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from odenet.errors import ConfigError, RunDirectoryError
from odenet.experiment.directory import (
    COMPARISON,
    CONFIG,
    METRICS,
    RESULTS,
    RUN,
    STATUS,
    read_json,
)
from odenet.experiment.interpolation import resolve
from odenet.experiment.yaml_text import read
from odenet.instruments.table import run_instruments
from odenet.reports.monitors import monitor_kinds
from odenet.training.callbacks import Record, read_metrics
from odenet.training.monitor_config import monitor_file


@dataclasses.dataclass(frozen=True)
class RunContents:
    """The contents of the run directory of one training.

    Attributes:
        path: The run directory.
        config: The experiment as plain data.
        config_text: The text of the experiment file.
        provenance: Contents of `run.json`: command, versions, device, data source.
        status: Contents of `status.json`.
        results: Contents of `results.json`; None while the training is not complete.
        metrics: The records of `metrics.jsonl`, oldest first.
        instruments: Results by the name of the instrument; empty for one that has not measured.
        monitors: The records of `{kind}.jsonl` by the kind of the monitor, oldest first.
    """

    path: Path
    config: dict[str, Any]
    config_text: str
    provenance: dict[str, Any]
    status: dict[str, Any]
    results: dict[str, Any] | None
    metrics: list[Record]
    instruments: dict[str, dict[str, Any]]
    monitors: dict[str, list[Record]]


@dataclasses.dataclass(frozen=True)
class ComparisonContents:
    """The contents of the run directory of a comparison of networks and solvers.

    Attributes:
        path: The run directory.
        config: The experiment as plain data.
        config_text: The text of the experiment file.
        comparison: Contents of `comparison.json`.
        runs: The training of every network, by name.
    """

    path: Path
    config: dict[str, Any]
    config_text: str
    comparison: dict[str, Any]
    runs: dict[str, RunContents]


def read_contents(directory: Path) -> RunContents | ComparisonContents:
    """Read a run directory.

    Args:
        directory: The directory of a comparison or of a run; a run may be incomplete.

    Raises:
        RunDirectoryError: if it is missing or damaged, or holds nothing to report.
    """
    if not directory.is_dir():
        raise RunDirectoryError(
            f"a report needs a run directory, but there is no directory {directory}; "
            f"`odenet run` and `odenet compare` make one"
        )
    if (directory / COMPARISON).exists():
        return _read_comparison(directory)
    if (directory / "networks").is_dir():
        raise RunDirectoryError(
            f"a report needs a complete comparison, but {directory} has no {COMPARISON}; "
            f"complete it with: odenet resume {directory}"
        )
    if not (directory / RESULTS).exists() and not (directory / METRICS).exists():
        raise RunDirectoryError(
            f"a report needs one of {COMPARISON}, {RESULTS} and {METRICS}, but {directory} has "
            f"none of them; give a directory that `odenet run` or `odenet compare` wrote"
        )
    return _read_run(directory)


def _read_comparison(directory: Path) -> ComparisonContents:
    comparison = read_json(directory / COMPARISON)
    missing = {"experiment", "rows", "verdicts", "networks"} - set(comparison)
    if missing:
        raise RunDirectoryError(
            f"{directory / COMPARISON} must hold rows, verdicts and networks, but lacks "
            f"{', '.join(sorted(missing))}; write it again with: odenet resume {directory}"
        )
    runs = {
        name: _read_run(directory / values.get("directory", f"networks/{name}"))
        for name, values in comparison["networks"].items()
    }
    text = _text(directory / CONFIG)
    return ComparisonContents(directory, _yaml(text, directory), text, comparison, runs)


def _read_run(directory: Path) -> RunContents:
    text = _text(directory / CONFIG)
    results = directory / RESULTS
    config = _yaml(text, directory)
    return RunContents(
        directory,
        config,
        text,
        _json_if_there(directory / RUN),
        _json_if_there(directory / STATUS),
        read_json(results) if results.exists() else None,
        _metrics(directory / METRICS),
        {name: instrument.read(directory) for name, instrument in run_instruments().items()},
        {kind: _metrics(directory / monitor_file(kind)) for kind in monitor_kinds(config)},
    )


def _json_if_there(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        # The report works without the configuration file, and says that it is missing.
        return ""


def _yaml(text: str, directory: Path) -> dict[str, Any]:
    # Not read as an ExperimentConfig, so that runs of older versions can be reported too.
    try:
        config = resolve(read(text, str(directory / CONFIG)), str(directory / CONFIG))
    except (ConfigError, AttributeError):
        config = _unresolved(text, directory)
    return config if isinstance(config, dict) else {}


def _unresolved(text: str, directory: Path) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RunDirectoryError(f"{directory / CONFIG} is not YAML: {error}") from error


def _metrics(path: Path) -> list[Record]:
    try:
        return read_metrics(path)
    except ValueError as error:
        raise RunDirectoryError(
            f"{path} must hold one JSON object per line: {error}; remove the damaged line"
        ) from error
