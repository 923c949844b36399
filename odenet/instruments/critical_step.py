"""At which training step size does a network stop being an ODE? For every seed."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from rich.table import Table

from odenet.analysis.critical_step import TrainedAt, critical_step
from odenet.errors import ConfigError
from odenet.experiment.config import read_experiment
from odenet.experiment.depth_family import depth_family
from odenet.experiment.directory import CONFIG, read_json, require
from odenet.instruments.base import RunsInstrument
from odenet.instruments.convergence import Convergence
from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Figure
from odenet.plotting.tables import framed

_CONVERGENCE = Convergence.file()


class CriticalStep(RunsInstrument):
    """The step size of training below which the trained network is an ODE."""

    needs: ClassVar[frozenset[str]] = frozenset({"seeds", "threshold"})
    rule: ClassVar[str] = "Ott et al. 2021, arXiv:2007.15386"
    runs: ClassVar[str] = "Run directories that `odenet analyse convergence` has measured."
    alt: ClassVar[str] = "Drop of accuracy under a near-exact solve, over the step size of training"
    caption: ClassVar[str] = "Inside the band, a trained network counts as an ODE."
    example: ClassVar[str] = "runs/steps-8 runs/steps-16"

    kind: Literal["critical-step"] = "critical-step"

    def measure(self, directories: Sequence[Path]) -> dict[str, Any]:
        """Find the critical step size of training for every seed.

        Args:
            directories: Run directories that `odenet analyse convergence` has measured. They may
                differ only in their seed and in `num_steps` of blocks.

        Returns:
            `seeds`, one entry each: the networks from the largest step size to the smallest with
            their accuracy and its drop (`fall`), `critical_step`, and the next larger step size
            `above`.

        Raises:
            ConfigError: if no directory is given, if the networks differ in more, or if they were
                judged by different thresholds or not at all.
            OdenetError: its other subclasses, for a missing or damaged run directory.
        """
        if not directories:
            raise ConfigError("give the run directories of trainings at several step sizes")
        seeds: dict[int, dict[int, TrainedAt]] = {}
        commits, thresholds = set(), set()
        first: tuple[Path, dict[str, Any]] | None = None
        for directory in directories:
            require(directory, CONFIG)
            if not (directory / _CONVERGENCE).is_file():
                raise ConfigError(
                    f"a critical step size needs a measurement of every run, and {directory} has "
                    f"no {_CONVERGENCE}; measure it with: odenet analyse convergence {directory}"
                )
            config, found = read_experiment(directory / CONFIG), read_json(directory / _CONVERGENCE)
            plain = depth_family(config)
            origin, expected = first = first or (directory, plain)
            if plain != expected:
                raise ConfigError(
                    f"a critical step size needs trainings that differ only in num_steps and seed; "
                    f"{directory} differs from {origin} in more"
                )
            judged = found["criticality"]
            if judged is None:
                raise ConfigError(
                    f"{directory} was not judged: a network is an ODE if its accuracy does not "
                    f"change under a near-exact solve, and it has no accuracy, or that solve did "
                    f"not reach t1"
                )
            accuracy = judged["reference_accuracy"] + judged["change"]
            steps, of_seed = found["num_steps"][0], seeds.setdefault(config.seed, {})
            if steps in of_seed:
                raise ConfigError(f"{directory} has the seed and the steps of an earlier directory")
            of_seed[steps] = TrainedAt(
                found["largest_step"], steps, accuracy, judged["reference_accuracy"]
            )
            thresholds.add(judged["threshold"])
            commits.add(read_json(directory / "run.json")["git_commit"])
        if len(thresholds) > 1:
            raise ConfigError(
                f"all networks must be measured with one threshold; got {sorted(thresholds)}"
            )
        threshold = thresholds.pop()
        return {
            "criterion": self.rule,
            "threshold": threshold,
            "git_commits": sorted(map(str, commits)),
            "seeds": [_of_seed(seed, list(of.values()), threshold) for seed, of in seeds.items()],
        }

    @staticmethod
    def table(found: Mapping[str, Any]) -> Table:
        """A row for every number of steps, a column for every seed; last, critical step sizes."""
        table = framed(apart=2)
        table.add_column("steps", justify="right")
        table.add_column("step size", justify="right")
        for seed in found["seeds"]:
            table.add_column(f"drop, seed {seed['seed']}", justify="right")
        drops = [{one["num_steps"]: one for one in seed["trained"]} for seed in found["seeds"]]
        for steps in sorted(set().union(*drops)):
            sizes = [of[steps]["largest_step"] for of in drops if steps in of]
            cells = [
                wording.points(of[steps]["fall"]) if steps in of else wording.NONE for of in drops
            ]
            table.add_row(str(steps), wording.decimal(max(sizes)), *cells)
        table.add_section()
        critical = [wording.decimal(seed["critical_step"]) for seed in found["seeds"]]
        table.add_row("critical", "", *critical)
        return table

    @staticmethod
    @canvas.styled
    def figure(found: Mapping[str, Any]) -> Figure:
        """One curve per seed, and the band in which a network counts as an ODE."""
        figure = canvas.new_figure(6.0, 3.6)
        axes = figure.subplots()
        threshold = found["threshold"]
        axes.axhspan(-threshold, threshold, color=canvas.GOOD, alpha=0.1, lw=0, label="an ODE")
        for index, seed in enumerate(found["seeds"]):
            axes.plot(
                [one["largest_step"] for one in seed["trained"]],
                [one["fall"] for one in seed["trained"]],
                color=canvas.colour_of(index), marker=canvas.marker_of(index),
                ls=canvas.dashes_of(index), ms=4, lw=1.5, label=f"seed {seed['seed']}",
            )  # fmt: skip
        axes.set_xscale("log")
        canvas.plain_numbers(axes, "x")
        canvas.percentages(axes)
        axes.set_xlabel("step size of training")
        axes.set_ylabel("drop of accuracy under a near-exact solve")
        axes.grid(True)
        axes.legend(fontsize=8)
        return figure


def _of_seed(seed: int, trained: Sequence[TrainedAt], threshold: float) -> dict[str, Any]:
    found = critical_step(trained, threshold)
    ordered = sorted(trained, key=lambda one: one.num_steps)
    return {
        "seed": seed,
        "trained": [dataclasses.asdict(one) | {"fall": one.drop} for one in ordered],
        "critical_step": found.step,
        "above": found.above,
    }
