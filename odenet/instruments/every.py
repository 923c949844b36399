"""All instruments on one run: results of those that apply, reasons for the others."""

import dataclasses
from pathlib import Path
from typing import Any

from odenet.errors import OdenetError
from odenet.experiment.config import Overrides
from odenet.experiment.loaded_run import load
from odenet.instruments.base import At
from odenet.instruments.measurement import measure_run
from odenet.instruments.table import find, names
from odenet.narration import doing


@dataclasses.dataclass(frozen=True)
class Every:
    """The results of all instruments on one run.

    Attributes:
        results: By the name of the instrument, each with its envelope.
        reasons: Why an instrument did not measure, by name.
    """

    results: dict[str, dict[str, Any]]
    reasons: dict[str, str]


def measure_all(
    directory: Path | str,
    overrides: Overrides = (),
    *,
    at: At = "last",
    data_dir: Path | None = None,
    **options: Any,
) -> Every:
    """Measure with every instrument that applies to a run, with its default options.

    Args:
        directory: A run directory.
        overrides: As in `load_config`, for the integrator or the data; parameters must still fit.
        at: The last checkpoint, the best, or the start.
        data_dir: Folder of the published data sets; None for the default folders.
        options: The options that all instruments have: `split`.

    Raises:
        OdenetError: if the run cannot be loaded.
    """
    run = load(directory, overrides, at, data_dir)
    results, reasons = {}, {}
    for name in names():
        found = find(name)
        if found.compares_runs:
            reasons[name] = f"it compares several runs: odenet analyse {name} RUN..."
            continue
        instrument = found(**options)
        reason = instrument.applies(run)
        if reason is not None:
            reasons[name] = reason
            continue
        try:
            with doing(f"measuring {name}"):
                results[name] = measure_run(instrument, run)
        except OdenetError as error:  # the failure of one instrument does not stop the others
            reasons[name] = str(error)
    return Every(results, reasons)
