"""Modules in double precision, where derivatives are compared with finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx


def in_float64(module):
    """The same module with every floating-point parameter in double precision."""
    graphdef, state = nnx.split(module)
    return nnx.merge(graphdef, jax.tree.map(lambda leaf: leaf.astype(jnp.float64), state))


def randomised(module, key, scale=0.4):
    """The same module in double precision with every parameter drawn anew, biases too.

    Integers, which say where a layer stands, stay as they are.
    """
    graphdef, state = nnx.split(module)
    leaves, tree = jax.tree.flatten(state)
    keys = jax.random.split(key, len(leaves))
    new = [
        scale * jax.random.normal(k, leaf.shape)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
        else leaf
        for k, leaf in zip(keys, leaves, strict=True)
    ]
    return nnx.merge(graphdef, jax.tree.unflatten(tree, new))


def drawn(make, seed, scale=0.4):
    """The module that `make()` builds, with every parameter drawn by NumPy.

    As `randomised`, but nothing is compiled for it: the module is built only if it has integers.
    """
    graphdef, state = nnx.split(nnx.eval_shape(make))
    if not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(state)):
        graphdef, state = nnx.split(make())
    draw = np.random.default_rng(seed)

    def new(leaf):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        return jnp.asarray(scale * draw.normal(size=leaf.shape))

    return nnx.merge(graphdef, jax.tree.map(new, state))
