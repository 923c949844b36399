"""Shape aliases and types of numbers, shared by every package."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Inexact, Int, Key

State = Inexact[Array, "batch *state"]
"""Hidden state `h`: one row per example, then a vector `(width,)` or an image
`(height, width, channels)`, of floating-point or complex numbers."""

Before = Float[Array, "batch *before"]
After = Float[Array, "batch *after"]
"""States on the two sides of a map that may change their shape."""

Time = Float[Array, ""]
"""A point in depth-time, dimensionless."""

StepSizes = Float[Array, " num_steps"]
"""The step sizes `taus`, one per step."""

Scalar = Float[Array, ""]
Count = Int[Array, ""]
Flag = Bool[Array, ""]


def common_type(first: Any, second: Any) -> jnp.dtype:
    """The type that holds numbers of both types, by the usual rules of JAX whatever is set."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(first, second)


__all__ = [
    "After",
    "Array",
    "Before",
    "Bool",
    "Count",
    "Flag",
    "Float",
    "Inexact",
    "Int",
    "Key",
    "Scalar",
    "State",
    "StepSizes",
    "Time",
    "common_type",
]
