"""Selection of layers to remove: steps that are a small fraction of the depth axis."""

from typing import Literal

import numpy as np

from odenet.arrays import Float, Int
from odenet.errors import ConfigError

Removal = Literal["smallest", "all"]
"""Selection among the layers below a fraction."""


def step_fractions(taus: Float[np.ndarray, " num_steps"]) -> Float[np.ndarray, " num_steps"]:
    r"""The relative step sizes $|\tau_k| / \sum_j |\tau_j|$.

    A layer with `tau` 0 is the identity: its removal does not change the network.

    Args:
        taus: Step sizes, of any sign.

    Raises:
        ConfigError: if all are 0.
    """
    lengths = np.abs(np.asarray(taus, np.float64))
    total = np.sum(lengths)
    if total == 0:
        raise ConfigError(
            "all step sizes are 0, so the relative step sizes are undefined; train them first"
        )
    return lengths / total


def surviving_layers(
    taus: Float[np.ndarray, " num_steps"],
    fraction: float,
    remove: Removal = "all",
    least: int = 1,
) -> Int[np.ndarray, " survivors"]:
    """Indices of the layers that are kept, in order; the largest step is always kept.

    Args:
        taus: Step sizes, one for every layer.
        fraction: Smallest relative step size of a layer that is kept, above 0 and at most 1.
        remove: Whether to remove `all` layers below it, or only the `smallest`.
        least: Smallest number of layers to keep, the largest ones.

    Raises:
        ConfigError: if `fraction` is out of range, or all step sizes are 0.
    """
    if not 0 < fraction <= 1:
        raise ConfigError(
            f"the smallest fraction to keep must be above 0 and at most 1; got {fraction}"
        )
    fractions = step_fractions(taus)
    stays = fractions >= fraction
    if remove == "smallest":
        stays |= np.arange(len(fractions)) != np.argmin(fractions)
    stays[np.argsort(-fractions, kind="stable")[:least]] = True
    return np.flatnonzero(stays)
