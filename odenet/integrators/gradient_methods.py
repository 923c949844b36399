"""Names of the gradient methods of an integration: store, recompute, reverse, adjoint."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

EXACT = "everything stored"
"""Name of the reference gradient: of the steps as they were taken."""

REMAT = {
    "none": EXACT,
    "step": "recomputed step by step",
    "sqrt": "recomputed in segments",
    "reversible": "reconstructed",
}
"""Names of the values of `remat`."""

BACKSOLVE = "adjoint equation (backsolve)"

Config = TypeVar("Config", bound=Any)


def by_remat(config: Config, remats: Iterable[str]) -> dict[str, Config]:
    """The same config with every other value of `remat`, by name.

    Args:
        config: A config with an option `remat`.
        remats: The values.
    """
    return {REMAT[remat]: config.model_copy(update={"remat": remat}) for remat in remats}


def names_of(methods: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of all gradient methods that some block of a network has, the exact one first."""
    return list(dict.fromkeys(name for of_block in methods for name in of_block))
