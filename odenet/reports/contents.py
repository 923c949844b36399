"""What a run directory holds, read once and left as plain data."""

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
    """One training.

    Attributes:
        path: Its run directory.
        config: The experiment as plain data.
        config_text: The same, as it was written.
        provenance: What `run.json` holds: command, versions, device, data source.
        status: What `status.json` holds.
        results: What `results.json` holds, or None while the training is not complete.
        metrics: The records of `metrics.jsonl`, oldest first.
        instruments: What the file of every instrument holds, by its name; empty where it was not
            used.
        monitors: The records of `{kind}.jsonl` of every monitor, oldest first, by its kind.
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
    """A comparison of networks and solvers.

    Attributes:
        path: Its run directory.
        config: The experiment as plain data.
        config_text: The same, as it was written.
        comparison: What `comparison.json` holds.
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
        directory: The directory of a comparison or of a run; the latter may be incomplete.

    Raises:
        RunDirectoryError: if it is missing, damaged, or nothing in it can be reported.
    """
    if not directory.is_dir():
        raise RunDirectoryError(
            f"a report is made from a run directory, but there is no directory {directory}; "
            f"`odenet run` and `odenet compare` make one"
        )
    if (directory / COMPARISON).exists():
        return _read_comparison(directory)
    if (directory / "networks").is_dir():
        raise RunDirectoryError(
            f"a comparison is reported once it is complete, but {directory} has no {COMPARISON}; "
            f"complete it with: odenet resume {directory}"
        )
    if not (directory / RESULTS).exists() and not (directory / METRICS).exists():
        raise RunDirectoryError(
            f"a report needs one of {COMPARISON}, {RESULTS} and {METRICS}, but {directory} has "
            f"none of them; name the directory that `odenet run` or `odenet compare` wrote"
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
        # The numbers can be reported without the file that led to them; the report says so.
        return ""


def _yaml(text: str, directory: Path) -> dict[str, Any]:
    # Not read as an ExperimentConfig: a run of an older version must still be reportable.
    try:
        config = resolve(read(text, str(directory / CONFIG)), str(directory / CONFIG))
    except (ConfigError, AttributeError):
        config = _as_it_stands(text, directory)
    return config if isinstance(config, dict) else {}


def _as_it_stands(text: str, directory: Path) -> Any:
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
