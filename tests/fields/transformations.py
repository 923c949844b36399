"""Drawn fields and states, and a field under the transformations that blocks apply to it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.precision import drawn


def cast(module, dtype="float64"):
    """The same module with parameters of another type; NumPy compiles nothing for it."""
    graphdef, state = nnx.split(module)
    return nnx.merge(graphdef, jax.tree.map(lambda p: jnp.asarray(np.asarray(p, dtype)), state))


def build(config, shape, takes_time=True, dtype="float64"):
    """The field of `config` with every parameter drawn."""
    return cast(drawn(lambda: config.build(shape, takes_time, rngs=nnx.Rngs(0)), seed=7), dtype)


def normal(*shape, seed=0, dtype="float64"):
    """Normal numbers by NumPy: JAX would compile a program for every shape."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(dtype))


def in_turn(cases):
    """`name, dtype, takes_time`, each name with both values of both; the other pairs: `product`."""
    pairs = [("float32", True), ("float64", False)]
    others = [("float32", False), ("float64", True)]
    return [
        *((name, *pair) for name in cases for pair in pairs),
        *(
            pytest.param(name, *pair, marks=pytest.mark.product)
            for name in cases
            for pair in others
        ),
    ]


def check_transformations(field, takes_time, h, *start):
    """One value of a batch, of its rows and under `vmap`, in the shape and dtype of the state.

    It changes with the time only if the field takes it.
    """

    @jax.jit
    def values(t, h, *start):
        rows = jax.lax.map(lambda row: field(t, *(x[None] for x in row))[0], (h, *start))
        mapped = jax.vmap(lambda *at: field(t, *at))(
            *(jnp.stack([x, x[::-1]]) for x in (h, *start))
        )
        prepared = field.evaluate(field.prepare(jnp.zeros_like(h)), t, h, *start)
        return field(t, h, *start), rows, mapped[0], mapped[1, ::-1], prepared

    now, later = (values(jnp.asarray(t, h.dtype), h, *start) for t in (0.6, 1.6))
    assert (now[0].shape, now[0].dtype) == (h.shape, h.dtype)
    tolerance = 1e-4 if h.dtype == jnp.float32 else 1e-12
    for found in now[1:]:
        np.testing.assert_allclose(found, now[0], rtol=tolerance, atol=tolerance)
    change = np.abs(np.asarray(later[0]) - np.asarray(now[0])).max()
    assert (change > 1e-3) == takes_time
