"""Runs or comparisons that differ in their seed alone, read together."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from odenet.analysis.over_seeds import Spread, over_seeds
from odenet.errors import ConfigError
from odenet.experiment.config import ExperimentConfig, read_experiment
from odenet.experiment.directory import (
    COMPARISON,
    CONFIG,
    RESULTS,
    is_comparison,
    read_json,
    require,
)


def read_over_seeds(
    directories: Sequence[Path],
) -> tuple[list[int], dict[str, dict[str, Spread]]]:
    """Seeds, and for every network the spread of its results over them.

    The networks of a comparison have their names there; a run is of the network that its
    experiment's `name` says.

    Args:
        directories: Run directories of finished runs or comparisons.

    Raises:
        ConfigError: if there is none; if runs of one name differ in more than the seed, or two have
            the same; or if networks have other data or were not all trained from the same seeds.
        RunDirectoryError: if one is not finished.
    """
    if not directories:
        raise ConfigError("give the run directories of at least one run or comparison")
    found: dict[str, dict[int, Any]] = {}
    first: dict[str, tuple[Path, ExperimentConfig]] = {}
    for directory in directories:
        require(directory, CONFIG)
        config = read_experiment(directory / CONFIG)
        plain = config.model_copy(update={"seed": 0})
        origin, expected = first.setdefault(config.name, (directory, plain))
        if plain != expected:
            raise ConfigError(
                f"runs are averaged over seeds, so that nothing else may differ; {directory} is "
                f"not the experiment of {origin} with another seed"
            )
        one, other = next(iter(first.values()))
        if config.data != other.data:
            raise ConfigError(
                f"networks are compared on the same data; {directory} has others than {one}"
            )
        for name, results in _results(directory, config):
            seeds = found.setdefault(name, {})
            if config.seed in seeds:
                raise ConfigError(f"{directory} has the seed {config.seed} of an earlier directory")
            seeds[config.seed] = results
    seeds = list(next(iter(found.values())))
    for name, results in found.items():
        if set(results) != set(seeds):
            raise ConfigError(
                f"networks are compared on the same seeds; {name} has {sorted(results)}, another "
                f"{sorted(seeds)}"
            )
    return seeds, {
        name: over_seeds([results[seed] for seed in seeds]) for name, results in found.items()
    }


def _results(directory: Path, config: ExperimentConfig) -> Iterator[tuple[str, Any]]:
    if is_comparison(directory):
        require(directory, COMPARISON)
        yield from read_json(directory / COMPARISON)["networks"].items()
    else:
        require(directory, RESULTS)
        yield config.name, read_json(directory / RESULTS)
