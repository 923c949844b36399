"""A near-exact solve of a trained network in double precision, and its scores."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from odenet.analysis.precision import double_precision, doubled
from odenet.arrays import Array
from odenet.errors import ConfigError
from odenet.integrators import DiffraxConfig
from odenet.integrators.equation import FIRST_ORDER
from odenet.models import DepthBlockConfig, Discretisation, Network
from odenet.training.state import split_network

_EXACT = {"solver": "dopri8", "controller": {"rtol": 1e-10, "atol": 1e-10}, "max_steps": 65536}
_BEYOND = 8
"""Multiple of the finest number of steps taken by the reference if no other solver has the
network's equation."""


def blocks_of_steps(blocks: Sequence[Any]) -> list[DepthBlockConfig]:
    """The blocks of a network, if all consist of steps of a method.

    Raises:
        ConfigError: if a block has other layers.
    """
    for index, block in enumerate(blocks):
        if block.ode is None:
            raise ConfigError(
                f"convergence is that of a method's steps, but the layers of model.stages.{index} "
                f"are no steps of one; analyse a network whose depth is time"
            )
    return [block.ode for block in blocks if block.ode is not None]


def largest_step(network: Network, factor: float) -> float:
    """The largest step size of any block with `factor` times its number of steps."""
    way = Discretisation(step_factor=Fraction(factor))
    blocks = [block.ode for block in network.blocks if block.ode is not None]
    return max(float(jnp.max(jnp.abs(way.steps_of(block.grid()).taus))) for block in blocks)


def double_outputs(network: Network, inputs: Array, way: Discretisation) -> tuple[np.ndarray, bool]:
    """Outputs in double precision, and whether every solve reached t1.

    Args:
        network: The network.
        inputs: Normalised inputs, shape `(n, *example)`.
        way: Integrator or number of steps.
    """
    graphdef, params, statistics = split_network(network)
    with double_precision():

        def apply(params: Any, statistics: Any, x: Array):
            return nnx.merge(graphdef, params, statistics)(x, way)

        prediction = jax.jit(apply)(doubled(params), doubled(statistics), doubled(inputs))
        return np.asarray(prediction.outputs), bool(prediction.stats.success)


def reference_of(blocks: Sequence[DepthBlockConfig], finest: float) -> tuple[Discretisation, str]:
    """The near-exact reference solve of a network, and its name.

    Args:
        blocks: The blocks of the network.
        finest: The largest multiple of its own number of steps in the comparison.
    """
    if all(block.integrator.equation == FIRST_ORDER for block in blocks):
        way = Discretisation(DiffraxConfig.model_validate(_EXACT).build())
        return way, "dopri8 at rtol = atol = 1e-10 in double precision"
    times = int(_BEYOND * finest)
    way = Discretisation(step_factor=Fraction(times))
    return way, f"the network's own integrator with {times} times its steps, in double precision"


def scores_of(
    loss: Callable[[Array, Array], Mapping[str, Array]], outputs: np.ndarray, targets: Any
) -> dict[str, float]:
    """The mean of every metric of outputs in double precision.

    Args:
        loss: Maps outputs and targets to metrics, one value per example.
        outputs: Outputs for `n` examples.
        targets: Targets of the examples.
    """
    scores = loss(jnp.asarray(outputs, jnp.float32), jnp.asarray(targets))
    return {key: float(jnp.mean(score)) for key, score in scores.items()}
