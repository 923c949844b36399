"""A network by its shapes alone, for what compares weights with it."""

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
    """A network without numbers: its initialisers were not run.

    Attributes:
        graphdef: Its structure.
        params: Shapes of its parameters, a nested dict.
        statistics: Shapes of its statistics, likewise.
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
        """Trainable numbers."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))


def shaped_network(config: ExperimentConfig, outline: Outline) -> ShapedNetwork:
    """The network of an experiment by its shapes.

    Args:
        config: The experiment.
        outline: What its data are like.

    Raises:
        ConfigError: naming the stage, if shapes do not fit.
    """

    def make():
        rngs = nnx.Rngs(0)
        return config.model.build(outline.input_shape, outline.num_outputs, rngs=rngs)

    return ShapedNetwork(*split_network(nnx.eval_shape(make)))
