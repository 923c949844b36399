"""The state of a training: all data that a resumed run needs, in one pytree."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from odenet.arrays import Array, Count, Key
from odenet.models import Network


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """The state of a training, a pytree of arrays; the model's structure is stored separately.

    Attributes:
        step: Number of optimiser steps taken.
        params: Trainable parameters, nested dict by attribute name.
        statistics: Every other variable of the model, by attribute name too.
        opt_state: Moments of the optimiser.
        key: Random key data, uint32; step `k` draws from `fold_in(key, k)`.
    """

    step: Count
    params: Any
    statistics: Any
    opt_state: Any
    key: Array


def split_network(network: Network) -> tuple[nnx.GraphDef, Any, Any]:
    """The structure, the parameters and the other variables of a network, as plain dicts."""
    graphdef, params, statistics = nnx.split(network, nnx.Param, ...)
    return graphdef, nnx.to_pure_dict(params), nnx.to_pure_dict(statistics)


def init_state(
    params: Any, statistics: Any, optimizer: optax.GradientTransformation, key: Key[Array, ""]
) -> TrainState:
    """The state before the first step; every leaf has a definite type, none is weakly typed."""
    opt_state = jax.jit(optimizer.init)(params)
    state = TrainState(
        jnp.zeros((), jnp.int32), params, statistics, opt_state, jax.random.key_data(key)
    )
    return jax.tree.map(lambda leaf: jnp.array(leaf, leaf.dtype, copy=True), state)
