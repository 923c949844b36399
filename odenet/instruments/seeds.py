"""Mean and standard deviation of the results of each network over seeds."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

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
from odenet.instruments.base import Found, RunsInstrument

_HEADINGS = {
    "test_error": "test error (%)",
    "test_loss": "test loss",
    "horizon": "sum of step sizes",
}


class Seeds(RunsInstrument):
    """Runs or comparisons that differ only in their seed, as one table in Markdown."""

    needs: ClassVar[frozenset[str]] = frozenset({"seeds", "networks"})
    has_figure: ClassVar[bool] = False
    runs: ClassVar[str] = "Run directories of runs or comparisons."
    example: ClassVar[str] = "runs/seed-0 runs/seed-1 runs/seed-2"

    kind: Literal["seeds"] = "seeds"

    def measure(self, directories: Sequence[Path]) -> dict[str, Any]:
        """Seeds, and for every network mean and standard deviation of its results over the seeds.

        Raises:
            ConfigError: as in `read_over_seeds`.
            RunDirectoryError: if a run is not finished.
        """
        seeds, found = read_over_seeds(directories)
        plain = {
            name: {key: dataclasses.asdict(spread) for key, spread in spreads.items()}
            for name, spreads in found.items()
        }
        return {"seeds": seeds, "networks": plain}

    @staticmethod
    def table(found: Found) -> str:
        """The table in Markdown, so that the output can be saved as a file of results."""
        return seeds_markdown(found["seeds"], found["networks"])


def read_over_seeds(
    directories: Sequence[Path],
) -> tuple[list[int], dict[str, dict[str, Spread]]]:
    """Seeds, and for every network mean and standard deviation of its results over the seeds.

    A network of a comparison has its name there; the network of a run has the `name` of the
    experiment.

    Args:
        directories: Run directories of finished runs or comparisons.

    Raises:
        ConfigError: if no directory is given; if runs of one name differ in more than the seed, or
            have the same seed; if networks have different data or different seeds.
        RunDirectoryError: if a run is not finished.
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
                f"runs that are averaged over seeds may differ only in the seed; {directory} is "
                f"not the experiment of {origin} with another seed"
            )
        one, other = next(iter(first.values()))
        if config.data != other.data:
            raise ConfigError(
                f"networks are compared on the same data; {directory} has other data than {one}"
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


def seeds_markdown(seeds: Sequence[int], networks: Mapping[str, Mapping[str, Any]]) -> str:
    """One row for each network: mean and standard deviation over the seeds, and every value.

    Args:
        seeds: The seeds, in the order of the values.
        networks: By network and by quantity, the values with their mean and standard deviation.
    """
    columns = [key for key in _HEADINGS if any(key in spreads for spreads in networks.values())]
    each = ", ".join(map(str, seeds))
    heads = [f"{_HEADINGS[key]}: mean ± standard deviation (seeds {each})" for key in columns]
    lines = ["| network | " + " | ".join(heads) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, spreads in networks.items():
        cells = [_cell(spreads.get(key), 100.0 if key == "test_error" else 1.0) for key in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(spread: Mapping[str, Any] | None, factor: float) -> str:
    if spread is None:
        return "–"
    mean = f"{factor * spread['mean']:.4g}"
    std = spread["standard_deviation"]
    spread_of = "" if std is None else f" ± {factor * std:.2g}"
    return f"{mean}{spread_of} ({', '.join(f'{factor * value:.4g}' for value in spread['values'])})"
