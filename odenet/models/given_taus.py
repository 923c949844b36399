"""A trained network with given step sizes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from flax import nnx

from odenet.depth.step_sizes import AbstractStepSizes, FixedStepSizes
from odenet.errors import ConfigError
from odenet.models.base import ResidualBlock
from odenet.models.maps import Projection
from odenet.models.network import Network


def with_taus(network: Network, taus: Sequence[Any]) -> Network:
    """A copy of a network with the same weights and given, fixed step sizes.

    Args:
        network: The network; it is not changed.
        taus: Step sizes of every stage whose depth is time, in the order of `network.taus()`: first
            the step sizes of layers in the projection, then those of the block. The number of steps
            of a block may be any multiple of its number of layers.

    Raises:
        ConfigError: if there are too many or too few, one is not finite, or one is not positive in
            a block that requires it.
    """
    made = nnx.clone(network)
    pairs = zip(made.projections, made.blocks, strict=True)
    stages = [(before, block.residual) for before, block in pairs if block.residual is not None]
    if len(taus) != len(stages):
        raise ConfigError(
            f"step sizes are one sequence for each of the {len(stages)} stages whose depth is "
            f"time; got {len(taus)}"
        )
    for index, ((before, block), given) in enumerate(zip(stages, taus, strict=True)):
        values = np.asarray(given, np.float64)
        num_before = len(before.taus())
        if values.ndim != 1 or not np.isfinite(values).all() or len(values) <= num_before:
            raise ConfigError(
                f"step sizes of stage {index} must be a sequence of more than {num_before} finite "
                f"numbers; got {given!r}"
            )
        try:
            _set_block(block, values[num_before:])
        except ConfigError as error:
            raise ConfigError(f"step sizes of stage {index}: {error}") from error
        _set_projection(before, values[:num_before])
    return made


def _set_block(block: ResidualBlock, taus: np.ndarray) -> None:
    num_layers = block.weights.num_layers
    if not len(taus) or len(taus) % num_layers:
        raise ConfigError(
            f"a block takes equally many steps in each of its layers, so their number is a "
            f"multiple of {num_layers}; got {len(taus)}"
        )
    if block.weights.needs_positive_steps and taus.min() <= 0:
        raise ConfigError(
            f"weights that are functions of the depth need step sizes above 0; the smallest is "
            f"{taus.min():g}"
        )
    block.step_sizes = FixedStepSizes(tuple(taus.tolist()))


def _set_projection(projection: Projection, taus: np.ndarray) -> None:
    """Set the step size of every layer in a projection."""
    modules = dict(nnx.iter_graph(projection.operation))
    places = [path for path, m in modules.items() if isinstance(m, AbstractStepSizes)]
    for path, tau in zip(places, taus, strict=True):
        setattr(modules[path[:-1]], str(path[-1]), FixedStepSizes((float(tau),)))
