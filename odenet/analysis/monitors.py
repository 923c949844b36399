"""The monitors of gradient flow and stability during training."""

from typing import ClassVar, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from odenet.analysis.flow_probe import NUM_EXAMPLES, BatchStatistics, FlowProbe, evenly_chosen
from odenet.analysis.gradient_flow import chains_of
from odenet.analysis.gradient_verdict import DEFAULT_THRESHOLD
from odenet.analysis.stability_probe import STABILITY_EXAMPLES, StabilityProbe
from odenet.data import Split
from odenet.errors import ConfigError
from odenet.training.monitor_config import MonitorConfig, MonitoredExperiment
from odenet.training.state import split_network


def flow_probe(
    experiment: MonitoredExperiment,
    split: Split,
    num_examples: int = NUM_EXAMPLES,
    factor_examples: int = 0,
    threshold: float = DEFAULT_THRESHOLD,
    batch_statistics: BatchStatistics | None = None,
) -> FlowProbe:
    """The measurement of gradient flow, on examples spread evenly over a split.

    Args:
        experiment: The experiment of the measured network.
        split: Split of its data.
        num_examples: Examples that the loss is averaged over, in one batch.
        factor_examples: Examples at which the factor of every layer is measured; 0 for none.
        threshold: Decades of change over depth that count as none.
        batch_statistics: Mode of batch norms; without it, as in training.

    Raises:
        ConfigError: if the network does not allow to follow the gradient, a number is out of range,
            or there is no batch norm for the option `batch_statistics`.
    """
    if not experiment.config.model.has_batch_norm:
        if batch_statistics is not None:
            raise ConfigError(
                f"batch statistics {batch_statistics} would be ignored: the model has no batch "
                f"norm; remove the option"
            )
    elif batch_statistics is None:
        batch_statistics = experiment.config.training.batch_statistics
    network = experiment.network(experiment.start.params, experiment.start.statistics)
    chains_of(network)
    return FlowProbe(
        split_network(network)[0],
        experiment.objective,
        experiment.dataset.normalization,
        evenly_chosen(split, num_examples),
        factor_examples,
        threshold,
        batch_statistics=batch_statistics,
    )


class GradientFlowMonitorConfig(MonitorConfig):
    """The gradient at every layer on training examples, with verdict, in `gradient_flow.jsonl`."""

    kind: Literal["gradient_flow"] = "gradient_flow"
    num_examples: PositiveInt = NUM_EXAMPLES
    """Training examples that the loss is averaged over, in one batch."""
    factor_examples: NonNegativeInt = 0
    """Examples at which the factor of every layer is measured; 0 for none."""
    threshold: PositiveFloat = DEFAULT_THRESHOLD
    """Decades of change over depth that count as none."""

    figure_name: ClassVar[str] = "flow_history"

    def build(self, experiment: MonitoredExperiment) -> FlowProbe:
        """Make the probe."""
        split = experiment.dataset.train
        return flow_probe(
            experiment, split, self.num_examples, self.factor_examples, self.threshold
        )


class StabilityMonitorConfig(MonitorConfig):
    """The layers' eigenvalues against the stability region of the method, in `stability.jsonl`."""

    kind: Literal["stability"] = "stability"
    num_examples: PositiveInt = STABILITY_EXAMPLES
    """Number of training examples on whose paths the stability is measured."""

    def build(self, experiment: MonitoredExperiment) -> StabilityProbe:
        """Make the probe."""
        return StabilityProbe(
            experiment.network(experiment.start.params, experiment.start.statistics),
            experiment.dataset.normalization,
            evenly_chosen(experiment.dataset.train, self.num_examples),
        )
