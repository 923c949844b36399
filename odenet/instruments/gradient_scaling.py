"""How does the gradient at the input scale with the depth of a network?"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import field_validator
from rich.table import Table

from odenet.analysis.gradient_scaling import DepthGradient, scaling
from odenet.analysis.gradient_verdict import check_threshold
from odenet.errors import ConfigError
from odenet.experiment.config import read_experiment
from odenet.experiment.depth_family import depth_family
from odenet.experiment.directory import CONFIG, read_json, require
from odenet.instruments.base import RunsInstrument
from odenet.instruments.gradient_flow import GradientFlow
from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Axes, Figure
from odenet.plotting.tables import framed

_GRADIENT_FLOW = GradientFlow.file()
_MEASURED_WITH = ("parameters", "split", "num_examples", "batch_statistics")
_QUANTITIES = ("first", "transport")
_TITLES = {
    "first": "gradient at the input, |dL/dY0|",
    "transport": "over that at the output, |dL/dY0| / |dL/dYN|",
}


class GradientScaling(RunsInstrument):
    """Scaling of the gradient at the input with the number of steps, for several networks."""

    needs: ClassVar[frozenset[str]] = frozenset({"networks", "threshold"})
    rule: ClassVar[str] = "a power law of the number of steps, by least squares over all seeds"
    runs: ClassVar[str] = "Run directories that `odenet analyse gradient-flow` has measured."
    alt: ClassVar[str] = "Gradient at the input over the number of layers"
    caption: ClassVar[str] = (
        "The line connects the geometric means over seeds; every seed has a mark."
    )
    example: ClassVar[str] = "runs/depth-8 runs/depth-16"

    kind: Literal["gradient-scaling"] = "gradient-scaling"
    threshold: float = 0.3
    """Largest change over the range of depths, in decades, that counts as constant."""

    @field_validator("threshold")
    @classmethod
    def _is_positive(cls, threshold: float) -> float:
        check_threshold(threshold)
        return threshold

    def measure(self, directories: Sequence[Path]) -> dict[str, Any]:
        """Read the gradient at both ends of networks of several depths, and judge its scaling.

        Args:
            directories: Run directories that `odenet analyse gradient-flow` has measured. Those of
                one network may differ only in their seed and in `num_steps` of blocks. A network of
                a comparison has its name there; any other has the name of its experiment.

        Returns:
            The common options of the measurements, and `networks` by name: their `runs` from the
            smallest depth to the largest, and the scaling with depth of `first` (the norm of the
            gradient at the input) and `transport` (that norm divided by the one at the output).

        Raises:
            ConfigError: if no directory is given, if one is not measured or measured with other
                options, if two networks of one name differ in more, or if two directories have the
                same depth and seed.
            OdenetError: its other subclasses, for a missing or damaged run directory.
        """
        if not directories:
            raise ConfigError("give the run directories of networks of several depths")
        families: dict[str, tuple[Path, dict[str, Any]]] = {}
        gradients: dict[str, dict[tuple[int, int], DepthGradient]] = {}
        measured_with: dict[str, Any] | None = None
        commits = set()
        for directory in directories:
            found = _measured(directory)
            how = {key: found[key] for key in _MEASURED_WITH}
            measured_with = measured_with or how
            if how != measured_with:
                raise ConfigError(
                    f"all gradients must be measured with the same options; {directory} was "
                    f"measured with {_said(how)}, {directories[0]} with {_said(measured_with)}"
                )
            config = read_experiment(directory / CONFIG)
            name = directory.name if directory.parent.name == "networks" else config.name
            plain = depth_family(config)
            origin, expected = families.setdefault(name, (directory, plain))
            if plain != expected:
                raise ConfigError(
                    f"networks of one name may differ only in num_steps and seed; {directory} and "
                    f"{origin} are both named {name} and differ in more"
                )
            one = _at_both_ends(found["blocks"], config.seed)
            of_name = gradients.setdefault(name, {})
            if (one.num_steps, one.seed) in of_name:
                raise ConfigError(f"{directory} has the seed and the steps of an earlier directory")
            of_name[one.num_steps, one.seed] = one
            commits.add(read_json(directory / "run.json")["git_commit"])
        return {
            **(measured_with or {}),
            "threshold": self.threshold,
            "git_commits": sorted(map(str, commits)),
            "networks": {
                name: _judged([of_name[key] for key in sorted(of_name)], self.threshold)
                for name, of_name in gradients.items()
            },
        }

    @staticmethod
    def table(found: Mapping[str, Any]) -> Table:
        """One row for every network and depth, and below each network its power law."""
        table = framed(apart=2)
        table.add_column("network")
        for column in ("steps", "seeds", "|dL/dY0|", "|dL/dY0| / |dL/dYN|"):
            table.add_column(column, justify="right")
        for name, network in found["networks"].items():
            for depth, runs in by_depth(network["runs"]).items():
                table.add_row(
                    name, str(depth), str(len(runs)), *(_range(runs, key) for key in _QUANTITIES)
                )
            table.add_row(
                name, "", "verdict", *(scaling_words(network[key]) for key in _QUANTITIES),
                end_section=True,
            )  # fmt: skip
        return table

    @staticmethod
    @canvas.styled
    def figure(found: Mapping[str, Any]) -> Figure:
        """The norm at the input, and its ratio to the norm at the output, by network.

        The line connects the geometric means over seeds; every seed has a mark.
        """
        figure = canvas.new_figure(9.0, 3.8)
        panels = figure.subplots(1, len(_TITLES))
        for axes, (key, title) in zip(panels, _TITLES.items(), strict=True):
            for index, (name, network) in enumerate(found["networks"].items()):
                _curve(axes, index, name, network["runs"], key)
            depths = sorted(
                {
                    run["num_steps"]
                    for network in found["networks"].values()
                    for run in network["runs"]
                }
            )
            axes.set_xscale("log")
            canvas.ticks(
                axes, "x", [float(depth) for depth in depths], [str(depth) for depth in depths]
            )
            canvas.logarithmic(axes)
            axes.set_xlabel("steps N")
            axes.set_title(title)
            axes.grid(True)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return figure


def _measured(directory: Path) -> dict[str, Any]:
    require(directory, CONFIG)
    if not (directory / _GRADIENT_FLOW).is_file():
        raise ConfigError(
            f"the scaling of gradients needs a measurement of every run, and {directory} has no "
            f"{_GRADIENT_FLOW}; measure it with: odenet analyse gradient-flow {directory}"
        )
    return GradientFlow.read(directory)


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


def by_depth(runs: Sequence[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    """Runs of one network by their number of steps, in ascending order."""
    depths = sorted({run["num_steps"] for run in runs})
    return {depth: [run for run in runs if run["num_steps"] == depth] for depth in depths}


def geometric_mean(values: Sequence[float | None]) -> float | None:
    """The geometric mean of positive numbers; None if one is missing or not positive."""
    kept = [value for value in values if value is not None and value > 0]
    return float(np.exp(np.mean(np.log(kept)))) if len(kept) == len(values) > 0 else None


def scaling_words(scaling: Mapping[str, Any]) -> str:
    """A power law in words: the verdict and the exponent with its standard error."""
    if scaling["exponent"] is None:
        return scaling["verdict"]
    error = scaling["standard_error"]
    spread = "" if error is None else f" ± {error:.2f}"
    return f"{scaling['verdict']}, N^({scaling['exponent']:.2f}{spread})"


def _range(runs: Sequence[Mapping[str, Any]], key: str) -> str:
    values = [run[key] for run in runs]
    mean = wording.decimal(geometric_mean(values))
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return mean
    return f"{mean} ({wording.decimal(min(known))} to {wording.decimal(max(known))})"


def _curve(axes: Axes, index: int, name: str, runs: Any, key: str) -> None:
    colour, marker = canvas.colour_of(index), canvas.marker_of(index)
    means = {
        depth: geometric_mean([run[key] for run in of]) for depth, of in by_depth(runs).items()
    }
    known = {depth: mean for depth, mean in means.items() if mean is not None}
    axes.plot(
        list(known), list(known.values()), color=colour, marker=marker, ms=5, lw=1.5,
        ls=canvas.dashes_of(index), label=canvas.legible(name),
    )  # fmt: skip
    seeds = [(run["num_steps"], run[key]) for run in runs if run[key] is not None and run[key] > 0]
    if len(seeds) > len(known):
        axes.plot(*zip(*seeds, strict=True), color=colour, marker=marker, ms=3, ls="", alpha=0.5)
