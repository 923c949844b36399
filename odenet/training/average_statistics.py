r"""Statistics of batch norms as a plain average over training batches, after training.

While a network trains, its running statistics are exponential averages over networks with earlier
weights. He et al. 2015 (arXiv:1512.03385, sec. 3.4, and their published code) average over training
data with the final weights instead, as Ioffe and Szegedy 2015 (arXiv:1502.03167, alg. 2) do:
$\mu = \mathrm{E}_B[\mu_B]$ and $\sigma^2 = \mathrm{E}_B[\frac{m}{m-1} \sigma_B^2]$ over batches
$B$, where $m$ is the number of values that a batch contributes to a channel.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from odenet.arrays import Array
from odenet.data import Normalization, Split, normalize
from odenet.data.permutation import EpochOrder
from odenet.fields.layers import BatchNorm
from odenet.models import Network
from odenet.training.state import TrainState, split_network


@dataclasses.dataclass(frozen=True, eq=False)
class AverageStatistics:
    """`state -> state` whose batch statistics are averages over the first batches of an epoch.

    The images are not augmented: the statistics are those of the images in evaluation. The input of
    each layer is the output of the layers before it, in training mode on the same batch. The
    result does not depend on the old running statistics, so averaging twice gives the same bytes.

    Args:
        graphdef: Structure of the network.
        normalization: Normalisation of the inputs.
        train: The training split.
        batch_size: Examples per batch.
        num_batches: Batches to average over, at least 1 and at most the full batches of an epoch.
        seed: Seed of the order of the examples; with the seed of the training, the batches are
            those of its first steps.
    """

    graphdef: nnx.GraphDef
    normalization: Normalization
    train: Split
    batch_size: int
    num_batches: int
    seed: int

    def __call__(self, state: TrainState) -> TrainState:
        """The state with averages in place of its batch statistics; nothing else differs."""
        measure = jax.jit(self._batch_statistics)
        average = None
        for count, inputs in enumerate(self._batches(), start=1):
            found = measure(state.params, state.statistics, inputs)
            average = found if average is None else jax.tree.map(_towards(count), average, found)
        return dataclasses.replace(state, statistics=self._replaced(state, average))

    def _batches(self) -> Iterable[np.ndarray]:
        order = EpochOrder(len(self.train), self.batch_size, self.seed)
        for step in range(self.num_batches):
            yield self.train.inputs[order.indices(step, 1)[0]]

    def _batch_statistics(self, params: Any, statistics: Any, inputs: Any) -> Any:
        """Mean and unbiased variance of one batch at every norm."""
        network = nnx.merge(self.graphdef, params, statistics)
        norms = _norms(network)
        for norm in norms:
            norm.momentum = 1.0
            # From zero, since `r + 1 * (new - r)` is `new` to round-off only.
            for running in (norm.mean, norm.variance):
                running[...] = jnp.zeros_like(running[...])
        network(normalize(inputs, self.normalization), training=True)
        return [(norm.mean[...], norm.variance[...]) for norm in norms]

    def _replaced(self, state: TrainState, average: Any) -> Any:
        # A numpy array would be overwritten in place, and it belongs to the caller.
        statistics = jax.tree.map(jnp.asarray, state.statistics)
        network = nnx.merge(self.graphdef, state.params, statistics)
        for norm, (mean, variance) in zip(_norms(network), average, strict=True):
            norm.mean[...], norm.variance[...] = mean, variance
        return split_network(network)[2]


def _towards(count: int) -> Callable[[Array, Array], Array]:
    """Update rule of a mean: from the mean of `count - 1` numbers and the last number.

    A sum would lose digits of a statistic, such as those of a constant channel.
    """
    return lambda average, seen: average + (seen - average) / count


def _norms(network: Network) -> list[BatchNorm]:
    return [module for _, module in nnx.iter_graph(network) if isinstance(module, BatchNorm)]
