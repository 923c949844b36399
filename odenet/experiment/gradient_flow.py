"""Gradient flow of a network from its run directory: measured, judged, written beside the run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from odenet.analysis.flow_meter import NUM_EXAMPLES, BatchStatistics
from odenet.analysis.gradient_verdict import DEFAULT_THRESHOLD
from odenet.errors import ConfigError
from odenet.experiment.directory import (
    GRADIENT_FLOW,
    RUN,
    RunDirectory,
    full_disk_named,
    read_json,
)
from odenet.experiment.evaluate import load_trained
from odenet.experiment.held_network import changed_at
from odenet.training.checkpoint import Which

Moment = Which | Literal["start"]
"""Which parameters: the last or the best checkpoint, or those that the training started from."""


def analyse_gradient_flow(
    directory: Path | str,
    overrides: Sequence[str] = (),
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
        overrides: `dotted.key=value`, for the integrator or the data; parameters must still fit.
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
    directory = Path(directory)
    which = "last" if moment == "start" else moment
    experiment, checkpoint = load_trained(directory, overrides, which, data_dir)
    state, step = checkpoint.state, checkpoint.step
    if moment == "start":
        made = {"pruned", "refined"} & set(read_json(directory / RUN))
        if experiment.origin is None and made:
            raise ConfigError(
                f"{directory} is a {made.pop()} network, which had no start of its own; look at "
                f"the run that it was made from, or at its last checkpoint"
            )
        if changed_at(checkpoint.extras) is not None:
            raise ConfigError(
                f"{directory} holds a network of another depth than its training began "
                f"with; look at its last checkpoint"
            )
        state, step = experiment.start, 0
    meter = experiment.flow_meter(
        experiment.split(split), num_examples, factor_examples, threshold, batch_statistics
    )
    found = {
        "directory": str(directory),
        "split": split,
        "parameters": moment,
        "step": step,
        "num_examples": meter.num_examples,
        "factor_examples": min(factor_examples, meter.num_examples),
        **meter(state.params, state.statistics).plain(),
    }
    with full_disk_named(directory):
        RunDirectory(directory).write_json(GRADIENT_FLOW, found)
    return found
