"""Initialisation of networks as a function of a random key."""

from typing import Protocol, runtime_checkable

import jax
from flax import nnx

from odenet.arrays import Array, Key
from odenet.models.network import Network


@runtime_checkable
class BuildsNetwork(Protocol):
    """A configuration of a network."""

    def build(self, input_shape: tuple[int, ...], num_outputs: int, *, rngs: nnx.Rngs) -> Network:
        """Make the network for inputs of `input_shape` (one example's)."""
        ...


def init_network(
    config: BuildsNetwork, input_shape: tuple[int, ...], num_outputs: int, key: Key[Array, ""]
) -> Network:
    """Make a network by compiled initialisers, as a function of the key.

    Args:
        config: The model.
        input_shape: Shape of one example.
        num_outputs: Number of classes or values.
        key: Random key; the same key gives bitwise equal weights.

    Raises:
        ConfigError: naming the stage, if shapes do not fit.
    """

    def build(key):
        return nnx.split(config.build(input_shape, num_outputs, rngs=nnx.Rngs(key)))

    return nnx.merge(*jax.jit(build)(key))


def abstract_network(
    config: BuildsNetwork, input_shape: tuple[int, ...], num_outputs: int
) -> Network:
    """The network of `init_network` with shapes and types in place of its weights.

    Nothing is compiled: for weights that are read from a file.

    Args:
        config: The model.
        input_shape: Shape of one example.
        num_outputs: Number of classes or values.

    Raises:
        ConfigError: naming the stage, if shapes do not fit.
    """

    def build(key):
        return config.build(input_shape, num_outputs, rngs=nnx.Rngs(key))

    return nnx.eval_shape(build, jax.random.key(0))


def count_parameters(network: Network) -> int:
    """Number of trainable parameters of the network."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))
