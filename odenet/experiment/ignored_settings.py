"""Settings of jax that a training ignores."""

import warnings

import jax


class IgnoredPrecisionWarning(UserWarning):
    """Double precision is set in jax, but training uses single precision."""


def warn_of_ignored_precision() -> None:
    """Warn that `JAX_ENABLE_X64` does not change the precision of a training."""
    if jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        warnings.warn(
            "JAX_ENABLE_X64 is set, but weights, data and steps of a training stay in single "
            "precision (float32); unset it to avoid this warning",
            IgnoredPrecisionWarning,
            stacklevel=3,
        )
