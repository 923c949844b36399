"""Networks of several depths: how does the gradient at their input change with depth?"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from odenet.analysis.gradient_scaling import DepthGradient, scaling
from odenet.analysis.gradient_verdict import check_threshold
from odenet.errors import ConfigError
from odenet.experiment.config import read_experiment
from odenet.experiment.depth_family import depth_family
from odenet.experiment.directory import CONFIG, read_json, require
from odenet.experiment.subject import instrument_file

_GRADIENT_FLOW = instrument_file("gradient-flow")
_MEASURED_WITH = ("parameters", "split", "num_examples", "batch_statistics")

DEFAULT_THRESHOLD = 0.3
"""Decades of change over all depths that count as none: a factor of 2."""


def gradient_scaling(
    directories: Sequence[Path | str], threshold: float = DEFAULT_THRESHOLD
) -> dict[str, Any]:
    """Gather the gradient at both ends of networks of several depths, and judge it.

    Args:
        directories: Run directories in which `odenet analyse gradient-flow` has measured. Those of
            one network differ in their seed and in `num_steps` of blocks alone. A network of a
            comparison goes by its name there, another by the name of its experiment.
        threshold: Decades of change over the range of depths that count as none, positive.

    Returns:
        What was measured with, and `networks` by name: their `runs` from the least depth to the
        greatest, and how `first` (the norm of the gradient at the input) and `transport` (that norm
        over the one at the output) scale with depth.

    Raises:
        ConfigError: if none is named, one is not measured or not in the same way, two networks of
            one name differ in more, or a depth and a seed come twice.
        OdenetError: as its other children say.
    """
    check_threshold(threshold)
    if not directories:
        raise ConfigError("name the run directories of networks of several depths")
    families: dict[str, tuple[Path, dict[str, Any]]] = {}
    gradients: dict[str, dict[tuple[int, int], DepthGradient]] = {}
    measured_with: dict[str, Any] | None = None
    commits = set()
    for directory in map(Path, directories):
        found = _measured(directory)
        how = {key: found[key] for key in _MEASURED_WITH}
        measured_with = measured_with or how
        if how != measured_with:
            raise ConfigError(
                f"gradients are compared that were measured in one way; {directory} was measured "
                f"with {_said(how)}, {directories[0]} with {_said(measured_with)}"
            )
        config = read_experiment(directory / CONFIG)
        name = directory.name if directory.parent.name == "networks" else config.name
        plain = depth_family(config)
        origin, expected = families.setdefault(name, (directory, plain))
        if plain != expected:
            raise ConfigError(
                f"networks of one name differ in num_steps and seed alone; {directory} and "
                f"{origin} are both {name} and differ in more"
            )
        one = _at_both_ends(found["blocks"], config.seed)
        of_name = gradients.setdefault(name, {})
        if (one.num_steps, one.seed) in of_name:
            raise ConfigError(f"{directory} has the seed and the steps of an earlier directory")
        of_name[one.num_steps, one.seed] = one
        commits.add(read_json(directory / "run.json")["git_commit"])
    return {
        **(measured_with or {}),
        "threshold": threshold,
        "git_commits": sorted(map(str, commits)),
        "networks": {
            name: _judged([of_name[key] for key in sorted(of_name)], threshold)
            for name, of_name in gradients.items()
        },
    }


def _measured(directory: Path) -> dict[str, Any]:
    require(directory, CONFIG)
    if not (directory / _GRADIENT_FLOW).is_file():
        raise ConfigError(
            f"how gradients scale follows from measurements of every run, and {directory} has no "
            f"{_GRADIENT_FLOW}; measure it with: odenet analyse gradient-flow {directory}"
        )
    return read_json(directory / _GRADIENT_FLOW)


def _said(how: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in how.items() if value is not None)


def _at_both_ends(blocks: Sequence[dict[str, Any]], seed: int) -> DepthGradient:
    first, last = blocks[0]["gradients"]["norm"][0], blocks[-1]["gradients"]["norm"][-1]
    num_steps = sum(len(block["gradients"]["norm"]) - 1 for block in blocks)
    taus = [block["taus"]["value"] for block in blocks if block["taus"] is not None]
    horizon = sum(map(sum, taus)) if len(taus) == len(blocks) else None
    return DepthGradient(num_steps, seed, horizon, first, last)


def _judged(runs: Sequence[DepthGradient], threshold: float) -> dict[str, Any]:
    depths = [one.num_steps for one in runs]
    return {
        "runs": [dataclasses.asdict(one) | {"transport": one.transport} for one in runs],
        "first": dataclasses.asdict(scaling(depths, [one.first for one in runs], threshold)),
        "transport": dataclasses.asdict(
            scaling(depths, [one.transport for one in runs], threshold)
        ),
    }
