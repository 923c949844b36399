"""A probe of gradient flow on fixed examples of one network, for any parameters, with verdicts."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from odenet.analysis.flow_statistics import BlockStatistics, FlowStatistics, flow_statistics
from odenet.analysis.gradient_flow import gradient_flow, states_of
from odenet.analysis.gradient_verdict import DEFAULT_THRESHOLD, FlowVerdict, judge_flow
from odenet.data import Normalization, Split, normalize
from odenet.errors import ConfigError
from odenet.objectives import Objective

BatchStatistics = Literal["training", "frozen"]

NUM_EXAMPLES = 256
"""Default number of measured examples (Glorot and Bengio 2010 took 300)."""


@dataclasses.dataclass(frozen=True)
class IdentityBound:
    """The bound on the gradient that follows from the identity term of a residual block.

    Attributes:
        branch: The largest norm of `tau * df/dy` over layers and measured examples.
        layer: The step with this norm, from 0.
        decades: Lower bound on the change of a gradient's norm over the block, at most 0, since
            `sigma_min(1 + A) >= 1 - |A|`; None if that gives no bound, because some `|A|` is 1
            or more, or is only known from below.
    """

    branch: float
    layer: int
    decades: float | None


@dataclasses.dataclass(frozen=True)
class FlowReport:
    """The gradient flow through a network, and its verdicts.

    Attributes:
        statistics: The flow in numbers, on the host.
        verdict: Verdict on the norms of $dL/dy$ at every state from the first block to the last.
        weights_verdict: Verdict on the root mean squares of $dL/dW$ of every layer. They may be
            even where $dL/dy$ is not (Glorot and Bengio 2010, sec. 4.2.2).
        identity: Bound of every block; None without an identity term or without measured factors,
            and with batch statistics, whose gradients are not a product of the measured factors.
        batch_statistics: Mode of batch norms: the statistics of the measured examples
            (`training`), or their running ones (`frozen`); None without batch norm.
    """

    statistics: FlowStatistics
    verdict: FlowVerdict
    weights_verdict: FlowVerdict
    identity: tuple[IdentityBound | None, ...]
    batch_statistics: BatchStatistics | None

    def plain(self) -> dict[str, Any]:
        """The report as numbers, lists and dicts."""
        values = jax.tree.map(_number, dataclasses.asdict(self))
        return values.pop("statistics") | values


class FlowProbe:
    """Compiles the measurement once, and runs it at any parameters.

    Args:
        graphdef: Structure of the network.
        objective: Computes the loss, a mean over the examples.
        normalization: Normalisation of the inputs.
        examples: The measured examples, in one batch.
        factor_examples: Number of examples at which the factors are measured, 0 for none.
        threshold: Decades of change that count as none.
        batch_statistics: Mode of batch norms: the statistics of the examples (`training`), as in
            training, or their running ones (`frozen`); None without batch norm. The factors are
            those of the network in evaluation in either case: each belongs to one example.

    Raises:
        ConfigError: if the threshold is not a positive number, or `factor_examples` is negative.
    """

    def __init__(
        self,
        graphdef: nnx.GraphDef,
        objective: Objective,
        normalization: Normalization,
        examples: Split,
        factor_examples: int = 0,
        threshold: float = DEFAULT_THRESHOLD,
        *,
        batch_statistics: BatchStatistics | None = None,
    ):
        judge_flow((1.0,), threshold)
        if factor_examples < 0:
            raise ConfigError(f"factors of {factor_examples} examples; give 0 or more")
        self.threshold, self.num_examples = threshold, len(examples)
        self._examples = examples
        self._batch_statistics: BatchStatistics | None = batch_statistics
        training = batch_statistics == "training"

        def measure(params: Any, statistics: Any, inputs: Any, targets: Any) -> FlowStatistics:
            network = nnx.merge(graphdef, params, statistics)

            def loss(outputs):
                return jnp.mean(objective.loss(outputs, targets)[objective.loss.minimised])

            x = normalize(inputs, normalization)
            flow = gradient_flow(network, loss, x, training=training)
            few = states_of(network, x[:factor_examples]) if factor_examples else None
            return flow_statistics(network, flow, few)

        self._measure = jax.jit(measure)

    def __call__(self, params: Any, statistics: Any) -> FlowReport:
        """Measure at these parameters; the first call compiles.

        Raises:
            ConfigError: naming the integrator, if the steps of a block are not maps of the state.
        """
        found = jax.device_get(
            self._measure(params, statistics, self._examples.inputs, self._examples.targets)
        )
        states = [block.gradients["norm"] for block in found.blocks]
        weights = [block.weights["rms"] for block in found.blocks]
        return FlowReport(
            found,
            judge_flow(np.concatenate(states).tolist(), self.threshold, _names(states, 0)),
            judge_flow(np.concatenate(weights).tolist(), self.threshold, _names(weights, 1)),
            tuple(
                None if self._batch_statistics == "training" else identity_bound(block)
                for block in found.blocks
            ),
            self._batch_statistics,
        )


def evenly_chosen(split: Split, number: int) -> Split:
    """`number` examples spread evenly over a split; all, if the split has fewer.

    Raises:
        ConfigError: if `number` is less than 1.
    """
    if number < 1:
        raise ConfigError(f"a gradient is measured on at least one example; got {number}")
    rows = np.linspace(0, len(split) - 1, min(number, len(split))).astype(np.int64)
    return Split(np.asarray(split.inputs[rows]), np.asarray(split.targets[rows]))


def identity_bound(block: BlockStatistics) -> IdentityBound | None:
    """The bound from the identity term of a block at the measured examples."""
    if block.factors is None or block.factors.branch is None:
        return None
    branch = np.asarray(block.factors.branch, np.float64)
    layer = int(np.argmax(branch))
    bounded = block.factors.smallest is not None and bool((branch < 1).all())
    decades = float(np.sum(np.log10(1 - branch))) if bounded else None
    return IdentityBound(float(branch[layer]), layer, decades)


def _names(blocks: Sequence[np.ndarray], first: int) -> list[str]:
    """Names of all layers; `first` is the number of the first in each block."""
    return [
        f"layer {layer}" if len(blocks) == 1 else f"layer {layer} of block {number}"
        for number, values in enumerate(blocks, start=1)
        for layer in range(first, first + len(values))
    ]


def _number(leaf: Any) -> Any:
    """Arrays as lists; a number that is not finite as None, since JSON cannot represent it."""
    if isinstance(leaf, np.ndarray) and leaf.ndim:
        return [_number(value) for value in leaf]
    if isinstance(leaf, (np.ndarray, np.generic)):
        leaf = leaf.item()
    return None if isinstance(leaf, float) and not math.isfinite(leaf) else leaf
