"""Which layers may go: those whose step is a small part of the depth axis."""

from typing import Literal

import numpy as np

from odenet.arrays import Float, Int
from odenet.errors import ConfigError

Removal = Literal["smallest", "all"]
"""Which of the layers below a fraction go."""


def step_fractions(taus: Float[np.ndarray, " num_steps"]) -> Float[np.ndarray, " num_steps"]:
    r"""The part of every step in the whole, $|\tau_k| / \sum_j |\tau_j|$.

    A layer whose `tau` is 0 is the identity: it can be taken out, and nothing changes.

    Args:
        taus: Step sizes, of any sign.

    Raises:
        ConfigError: if all are 0.
    """
    lengths = np.abs(np.asarray(taus, np.float64))
    total = np.sum(lengths)
    if total == 0:
        raise ConfigError(
            "all step sizes are 0, so that no layer has a fraction of the depth; train them"
        )
    return lengths / total


def surviving_layers(
    taus: Float[np.ndarray, " num_steps"],
    fraction: float,
    remove: Removal = "all",
    least: int = 1,
) -> Int[np.ndarray, " survivors"]:
    """Indices of the layers that stay, in order; the longest step always does.

    Args:
        taus: Step sizes, one for every layer.
        fraction: Smallest fraction of a layer that stays, above 0 and at most 1.
        remove: Whether `all` below it go, or the one of the `smallest` fraction.
        least: How many stay at least, the longest ones.

    Raises:
        ConfigError: if `fraction` is out of range, or all step sizes are 0.
    """
    if not 0 < fraction <= 1:
        raise ConfigError(
            f"the fraction of a layer that stays is above 0 and at most 1; got {fraction}"
        )
    fractions = step_fractions(taus)
    stays = fractions >= fraction
    if remove == "smallest":
        stays |= np.arange(len(fractions)) != np.argmin(fractions)
    stays[np.argsort(-fractions, kind="stable")[:least]] = True
    return np.flatnonzero(stays)
