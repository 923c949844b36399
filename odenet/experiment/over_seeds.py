"""Comparisons that differ in their seed alone, read together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from odenet.analysis.over_seeds import Spread, over_seeds
from odenet.errors import ConfigError
from odenet.experiment.config import read_experiment
from odenet.experiment.directory import COMPARISON, CONFIG, read_json, require


def read_over_seeds(directories: Sequence[Path]) -> tuple[list[int], dict[str, dict[str, Spread]]]:
    """Seeds, and for every network the spread of its results over them.

    Args:
        directories: Run directories of finished comparisons of one experiment.

    Raises:
        ConfigError: if there is none, two have the same seed, or they differ in more than it.
        RunDirectoryError: if one is no finished comparison.
    """
    if not directories:
        raise ConfigError("give the run directories of at least one comparison")
    seeds: list[int] = []
    networks: list[dict[str, Any]] = []
    first = None
    for directory in directories:
        require(directory, COMPARISON)
        config = read_experiment(directory / CONFIG)
        plain = config.model_copy(update={"seed": 0})
        first = plain if first is None else first
        if plain != first:
            raise ConfigError(
                f"runs are averaged over seeds, so that nothing else may differ; {directory} is "
                f"not the experiment of {directories[0]} with another seed"
            )
        if config.seed in seeds:
            raise ConfigError(f"{directory} has the seed {config.seed} of an earlier directory")
        seeds.append(config.seed)
        networks.append(read_json(directory / COMPARISON)["networks"])
    return seeds, {name: over_seeds([found[name] for found in networks]) for name in networks[0]}
