r"""Number of layers that a network uses: contributions, lesions, and merged neighbours.

A layer of a residual network adds $\tau f(h)$ to its state. Setting its $\tau$ to 0 removes the
layer and changes nothing else: a lesion (Veit et al. 2016, arXiv:1605.06431; Chang et al. 2018,
arXiv:1710.10348). Two neighbours are merged into one layer with the sum of their step sizes and the
mean of their weights, weighted by step size; for smooth weights that is the network with one step
less.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from odenet.arrays import Array, Float, Int, Scalar, StepSizes
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.errors import ConfigError
from odenet.models import Network
from odenet.models.base import ResidualBlock

Scores = dict[str, Scalar]
"""`loss`, and `accuracy` of a classifier, means over the examples."""

Alter = Callable[[LayerFields, StepSizes], tuple[LayerFields, StepSizes]]


@dataclasses.dataclass(frozen=True)
class BlockDepth:
    """The layers of one block, or its steps if the weights are shared over depth.

    Attributes:
        taus: Length of every layer, the sum of its steps.
        contributions: Root mean square of the increment of every layer, relative to the root mean
            square of its initial state.
        left_out: Scores without each of the layers, by name, shape `(layers,)`.
        merged: Scores with each layer merged with the next, shape `(layers - 1,)`; None if all
            layers have the same weights.
        removed: Scores without the `m` layers of least costly lesion, `m` from 0 to all but one.
        order: Those layers, the least costly first.
    """

    taus: Float[np.ndarray, " layers"]
    contributions: Float[np.ndarray, " layers"]
    left_out: dict[str, np.ndarray]
    merged: dict[str, np.ndarray] | None
    removed: dict[str, np.ndarray]
    order: Int[np.ndarray, " layers"]

    @property
    def participation(self) -> float:
        r"""$(\sum_k c_k)^2 / \sum_k c_k^2$: the number of layers, if all contribute the same."""
        squares = float(np.sum(np.square(self.contributions)))
        return float(np.sum(self.contributions)) ** 2 / squares if squares > 0 else 0.0

    def effective_depth(self, threshold: float) -> int:
        """The fewest layers, the costliest kept, whose score is within the threshold.

        Args:
            threshold: Largest drop of the accuracy, or, without an accuracy, largest relative rise
                of the loss.
        """
        if "accuracy" in self.removed:
            accuracy = self.removed["accuracy"]
            good = accuracy >= accuracy[0] - threshold
        else:
            loss = self.removed["loss"]
            good = loss <= loss[0] * (1 + threshold)
        bad = np.flatnonzero(~good)
        most = (int(bad[0]) if bad.size else len(good)) - 1
        return len(self.taus) - most


def check_lesions(network: Network) -> None:
    """Refuse a network whose layers cannot be removed.

    Raises:
        ConfigError: naming the block and the reason.
    """
    for index, block in enumerate(network.blocks):
        if block.residual is None:
            raise ConfigError(
                f"a layer without an identity shortcut cannot be left out: the block of "
                f"model.stages.{index} is {type(block).__name__}; analyse a network whose depth is "
                f"time"
            )
        if block.ode is not None and not block.ode.integrator.zero_step_is_identity:
            name = type(block.ode.integrator).__name__
            raise ConfigError(
                f"a layer is left out by a step of size 0, which {name} "
                f"in model.stages.{index} does not have"
            )
        if block.residual.weights.are_functions:
            raise ConfigError(
                f"the weights of model.stages.{index} are functions of depth (weights.kind=basis): "
                f"no layer has weights of its own to leave out"
            )


def depth_of_block(
    network: Network,
    index: int,
    inputs: Array,
    score: Callable[[Array], Scores],
) -> BlockDepth:
    """Measure the layers of one block, with all other blocks unchanged.

    Args:
        network: The network; its batch norms use their running statistics.
        index: Index of the block, from 0.
        inputs: Normalised inputs.
        score: Maps outputs to mean scores.
    """
    block = _block(network, index)
    grid = block.grid()
    layers = grid.num_steps if grid.num_layers == 1 else grid.num_layers
    parts = grid.num_steps // layers

    # Weights are arguments: the compiler would fold them if they were constants of a program.
    graphdef, state = nnx.split(network)

    def mapped(altered: Callable[[Any], Alter], over: np.ndarray) -> dict[str, np.ndarray]:
        def measure(state: Any, over: Array) -> dict[str, Array]:
            model = nnx.merge(graphdef, state)
            return jax.lax.map(
                lambda one: score(outputs_of(model, index, inputs, altered(one))), over
            )

        found = jax.jit(measure)(state, over)
        return {name: np.asarray(values, np.float64) for name, values in found.items()}

    def without(mask: Float[Array, " layers"]) -> Alter:
        kept = jnp.repeat(mask, parts, total_repeat_length=grid.num_steps)
        return lambda fields, taus: (fields, taus * kept.astype(taus.dtype))

    def merging(k: Array) -> Alter:
        return lambda fields, taus: merge_layers(fields, taus, k, parts)

    lesions = 1 - np.eye(layers, dtype=np.float32)
    left_out = mapped(without, lesions)
    order = np.argsort(left_out["loss"], kind="stable")
    removed = np.ones((layers, layers), np.float32)
    for number in range(1, layers):
        removed[number:, order[number - 1]] = 0
    merged = None
    if grid.num_layers > 1:
        merged = mapped(merging, np.arange(layers - 1))
    taus = np.asarray(grid.taus, np.float64).reshape(layers, parts).sum(axis=1)
    contributions = jax.jit(
        lambda state: _contributions(nnx.merge(graphdef, state), index, inputs, parts)
    )(state)
    return BlockDepth(
        taus, np.asarray(contributions), left_out, merged, mapped(without, removed), order
    )


def outputs_of(network: Network, index: int, x: Array, alter: Alter) -> Array:
    """Outputs of a network with the layers of one block altered.

    Args:
        network: The network.
        index: Index of the block, from 0.
        x: Normalised inputs.
        alter: Maps the fields and step sizes of the block to the altered ones.
    """
    for number, (projection, block) in enumerate(
        zip(network.projections, network.blocks, strict=True)
    ):
        x = projection(x)
        if number == index:
            residual = block.residual
            assert residual is not None
            grid = residual.grid()
            fields, taus = alter(residual.weights.over(grid), grid.taus)
            x = residual.run(fields, DepthGrid(taus, grid.num_layers), x).h1
        else:
            x = block(x).h1
    return network.head(x)


def merge_layers(
    fields: LayerFields, taus: StepSizes, k: Array, parts: int
) -> tuple[LayerFields, StepSizes]:
    """Merge layers `k` and `k + 1`: the first takes both steps, the second none.

    Args:
        fields: Fields of all layers.
        taus: Sizes of all steps.
        k: Index of the first of the two, an integer scalar.
        parts: Steps per layer.
    """
    by_layer = taus.reshape(-1, parts)
    lengths = jnp.abs(jnp.sum(by_layer, axis=1))
    total = lengths[k] + lengths[k + 1]
    fraction = jnp.where(total > 0, lengths[k] / jnp.where(total > 0, total, 1), 0.5)

    def mean(leaf: Array) -> Array:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        part = fraction.astype(leaf.dtype)
        return leaf.at[k].set(part * leaf[k] + (1 - part) * leaf[k + 1])

    both = by_layer.at[k].add(by_layer[k + 1]).at[k + 1].set(0)
    params = jax.tree.map(mean, fields.params)
    return dataclasses.replace(fields, params=params), both.reshape(-1)


def _contributions(network: Network, index: int, x: Array, parts: int) -> Float[Array, " layers"]:
    for projection, block in zip(network.projections[:index], network.blocks[:index], strict=True):
        x = block(projection(x)).h1
    path = _block(network, index)(network.projections[index](x), save_path=True).path
    assert path is not None
    states = path[::parts]

    def size(array: Array) -> Float[Array, " layers"]:
        return jnp.sqrt(jnp.mean(jnp.square(array), axis=tuple(range(1, array.ndim))))

    return size(states[1:] - states[:-1]) / size(states[:-1])


def _block(network: Network, index: int) -> ResidualBlock:
    block = network.blocks[index].residual
    assert block is not None
    return block
