"""A network with shapes instead of arrays, for comparison with files of weights."""

import dataclasses
from typing import Any

import jax
from flax import nnx

from odenet.data.source import Outline
from odenet.experiment.config import ExperimentConfig
from odenet.models.pretrained import shapes_of
from odenet.training.state import split_network


@dataclasses.dataclass(frozen=True)
class ShapedNetwork:
    """A network with shapes instead of arrays; its initialisers were not run.

    Attributes:
        graphdef: Structure of the network.
        params: Shapes of its parameters, a nested dict.
        statistics: Shapes of its batch statistics, a nested dict.
    """

    graphdef: nnx.GraphDef
    params: Any
    statistics: Any

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all arrays by dotted path."""
        return {**shapes_of(self.params), **shapes_of(self.statistics)}

    @property
    def num_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))


def shaped_network(config: ExperimentConfig, outline: Outline) -> ShapedNetwork:
    """The network of an experiment, with shapes instead of arrays.

    Args:
        config: The experiment.
        outline: Outline of its data.

    Raises:
        ConfigError: naming the stage, if shapes do not fit.
    """

    def make():
        rngs = nnx.Rngs(0)
        return config.model.build(outline.input_shape, outline.num_outputs, rngs=rngs)

    return ShapedNetwork(*split_network(nnx.eval_shape(make)))
