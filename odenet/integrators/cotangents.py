"""Sums of cotangents of arguments with integer leaves."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.dtypes import float0


def add_cotangents(total: Any, more: Any) -> Any:
    """The sum of two trees of cotangents, leaf by leaf.

    An integer, for instance the index of a dense layer, has no derivative; JAX gives it a cotangent
    of a type that cannot be added, and the other summand is returned unchanged.
    """

    def add(x, y):
        return x if getattr(y, "dtype", None) == float0 else jnp.add(x, y)

    return jax.tree.map(add, total, more)


def without_integers(cotangent: Any, primal: Any) -> Any:
    """The cotangent of `primal`, with the cotangents of integers in JAX's own form."""

    def of(a, x):
        return a if jnp.issubdtype(x.dtype, jnp.inexact) else np.zeros(x.shape, float0)

    return jax.tree.map(of, cotangent, primal)
