"""Gradient flow of a network from its run directory: measured, judged, written beside the run."""

from pathlib import Path
from typing import Any

from odenet.analysis.flow_meter import NUM_EXAMPLES, BatchStatistics
from odenet.analysis.gradient_verdict import DEFAULT_THRESHOLD
from odenet.analysis.monitors import flow_probe
from odenet.experiment.config import Overrides
from odenet.experiment.subject import Moment, look_at


def analyse_gradient_flow(
    directory: Path | str,
    overrides: Overrides = (),
    split: str = "train",
    moment: Moment = "last",
    num_examples: int = NUM_EXAMPLES,
    factor_examples: int = 8,
    threshold: float = DEFAULT_THRESHOLD,
    batch_statistics: BatchStatistics | None = None,
    data_dir: Path | None = None,
) -> dict[str, Any]:
    """Measure how the gradient of the loss travels back through a network.

    The result is also written into the run directory, as `gradient_flow.json`.

    Args:
        directory: A run directory.
        overrides: As in `load_config`, for the integrator or the data; parameters must still fit.
        split: `train`, `validation` or `test`.
        moment: The last checkpoint, the best, or the start.
        num_examples: Examples that the loss is averaged over, in one batch.
        factor_examples: Examples at which the factor of every layer is measured; 0 for none.
        threshold: Decades of change over depth that count as none.
        batch_statistics: What batch norms use, for the gradients: the statistics of the examples or
            the running ones; without it, as in the run's training.
        data_dir: Folder of the published data sets, or None for the usual places.

    Raises:
        ConfigError: if the network is not made of layers that a gradient can be followed through,
            a number is out of range, or there is no batch norm to choose the statistics of.
        OdenetError: as its other children say.
    """
    subject = look_at(directory, overrides, split, moment, data_dir)
    experiment = subject.experiment
    meter = flow_probe(
        experiment,
        experiment.split(split),
        num_examples,
        factor_examples,
        threshold,
        batch_statistics,
    )
    found = {
        "num_examples": meter.num_examples,
        "factor_examples": min(factor_examples, meter.num_examples),
        **meter(subject.state.params, subject.state.statistics).plain(),
    }
    return subject.write("gradient-flow", found)
