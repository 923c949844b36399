"""Shape aliases, shared by every room."""

from jaxtyping import Array, Bool, Float, Int, Key

State = Float[Array, "batch *state"]
"""Hidden state `h`: one row per example, then a vector `(width,)` or an image
`(height, width, channels)`."""

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

__all__ = [
    "After",
    "Array",
    "Before",
    "Bool",
    "Count",
    "Flag",
    "Float",
    "Int",
    "Key",
    "Scalar",
    "State",
    "StepSizes",
    "Time",
]
