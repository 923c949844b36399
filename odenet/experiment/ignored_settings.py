"""Settings of jax that a training does not follow."""

import warnings

import jax


class IgnoredPrecisionWarning(UserWarning):
    """Double precision was asked of jax, and training is in single precision."""


def warn_of_ignored_precision() -> None:
    """Say that `JAX_ENABLE_X64` does not change the precision of a training."""
    if jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        warnings.warn(
            "JAX_ENABLE_X64 is set, but weights, data and steps of a training are in single "
            "precision (float32) all the same; unset it to be rid of this warning",
            IgnoredPrecisionWarning,
            stacklevel=3,
        )
