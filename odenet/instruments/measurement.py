"""Measure with an instrument: load the run, measure, add the envelope, write the result."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from odenet import __version__
from odenet.errors import ConfigError
from odenet.experiment.config import Overrides
from odenet.experiment.directory import RunDirectory, full_disk_named
from odenet.experiment.loaded_run import Run, load
from odenet.experiment.plugin_record import recorded
from odenet.instruments.base import At, InstrumentConfig, RunInstrument, RunsInstrument
from odenet.instruments.table import find

Where = Run | Path | str


def measure(
    name: str,
    run: Where | Sequence[Path | str],
    overrides: Overrides = (),
    *,
    at: At = "last",
    data_dir: Path | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Measure with the instrument of a name: `measure("stability", "runs/quickstart-1")`.

    The result of an instrument on one run is also written into the run directory, as `NAME.json`,
    unless `Run.with_taus` has set other step sizes.

    Args:
        name: As in `odenet analyse NAME`.
        run: A run directory or a loaded run; for an instrument that compares runs, a list of run
            directories.
        overrides: As in `load_config`, for the integrator or the data; parameters must still fit.
        at: The last checkpoint, the best, or the start.
        data_dir: Folder of the published data sets; None for the default folders.
        options: Options of the instrument, such as `split` and `examples`.

    Returns:
        The envelope, then the result.

    Raises:
        ConfigError: if there is no such instrument or option, or the instrument does not apply.
        OdenetError: its other subclasses, if the run cannot be loaded or the result not written.
    """
    instrument = find(name)(**options)
    alone = isinstance(run, (Run, str, Path))
    if instrument.compares_runs:
        if overrides or at != "last" or data_dir is not None or alone:
            raise ConfigError(
                f"{name} reads several run directories unchanged; give a list of them, and no "
                f"overrides, `at` or `data_dir`"
            )
        return measure_runs(instrument, [Path(directory) for directory in run])
    if not alone:
        raise ConfigError(f"{name} measures on one run; got {run!r}; give one run directory")
    if not isinstance(run, Run):
        run = load(run, overrides, at, data_dir)
    elif overrides or at != "last" or data_dir is not None:
        raise ConfigError(
            "a loaded run already has its weights and overrides; give `at`, overrides and "
            "`data_dir` to `odenet.load`, not to `measure`"
        )
    return measure_run(instrument, run)


def measure_run(instrument: RunInstrument, run: Run) -> dict[str, Any]:
    """Measure on a loaded run, and write the result into its directory.

    Raises:
        OdenetError: a subclass, if the instrument does not apply or the result cannot be written.
    """
    instrument.check(run)
    found = instrument.measure(run)
    looked_at = {
        "directory": str(run.directory),
        "split": instrument.split,
        "parameters": run.which,
        "step": run.step,
    }
    provenance = _by(instrument) | {
        "directories": [str(run.directory)],
        "split": instrument.split,
        "at": run.which,
        "step": run.step,
        "overrides": dict(run.overrides),
    }
    values = looked_at | {"provenance": provenance | _versions()} | found
    if run.given_taus is None:
        with full_disk_named(run.directory):
            RunDirectory(run.directory).write_json(instrument.file(), values)
    return values


def measure_runs(instrument: RunsInstrument, directories: Sequence[Path]) -> dict[str, Any]:
    """Compare run directories.

    Raises:
        OdenetError: a subclass, if the runs cannot be read or compared.
    """
    found = instrument.measure(directories)
    provenance = _by(instrument) | {"directories": [str(one) for one in directories]}
    return {"provenance": provenance | _versions()} | found


def _by(instrument: InstrumentConfig) -> dict[str, Any]:
    options: Mapping[str, Any] = instrument.model_dump(mode="json", exclude={"kind", "split"})
    return {
        "instrument": instrument.instrument_name(),
        "options": options,
        "rule": instrument.rule,
    }


def _versions() -> dict[str, Any]:
    return {"odenet": __version__, "jax": version("jax"), **recorded()}
