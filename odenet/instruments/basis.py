"""How few functions of depth are enough? Projects the weights onto fewer, without training."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from rich import box
from rich.table import Table

from odenet.data import Split
from odenet.depth.basis import BasisName
from odenet.errors import ConfigError
from odenet.experiment.build import Experiment, build
from odenet.experiment.loaded_run import Run
from odenet.experiment.refinement.derived import with_blocks
from odenet.experiment.refinement.refine import refined_stages, transferred
from odenet.experiment.refinement.refined_stage import Refinement
from odenet.instruments.base import RunInstrument, SplitName
from odenet.models.base import BlockConfig
from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Figure
from odenet.training.checkpoint import Checkpoint, fitted, named

DEFAULT_BASES: tuple[BasisName, ...] = ("piecewise_constant", "piecewise_linear", "legendre")


class Basis(RunInstrument):
    """A trained network with its weights projected onto fewer functions of depth.

    The projected weights are not trained. The number of steps does not change.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"as_trained", "curves", "num_basis"})
    rule: ClassVar[str] = "Queiruga et al. 2021, arXiv:2106.10820"
    alt: ClassVar[str] = "Accuracy or loss over the number of functions of depth that are kept"
    caption: ClassVar[str] = (
        "The trained weights, projected onto fewer functions of depth and not trained again. Where "
        "a curve leaves the dashed line, its family needs more functions."
    )

    kind: Literal["basis"] = "basis"
    split: SplitName = "test"
    """Split of the examples."""
    examples: int | None = None
    """Number of examples over which scores are averaged; without it, the whole split."""
    basis: tuple[BasisName, ...] = ()
    """Functions of depth; may be repeated. Without it, piecewise-constant and piecewise-linear
    basis functions and Legendre polynomials."""
    num_basis: tuple[int, ...] = ()
    """Number of functions that are kept; may be repeated. Without it, the repeated halves of the
    trained number, and three quarters of each."""

    def check(self, run: Run) -> None:
        """Refuse a network whose weights are not functions of depth."""
        for block in run.config.model.blocks:
            _most_functions(block)

    def measure(self, run: Run) -> dict[str, Any]:
        """Evaluate the trained network and its projection onto every basis and number of functions.

        Raises:
            ConfigError: if a basis or a number of functions does not fit the network.
        """
        experiment, examples = run.experiment, self.chosen(run, self.examples)
        most = min(_most_functions(block) for block in run.config.model.blocks)
        curves = []
        for basis in self.basis or DEFAULT_BASES:
            asked = self.num_basis or [
                size for size in _smaller_sizes(most) if _fits(experiment, basis, size)
            ]
            points = [_projected(run, basis, size, examples) for size in asked]
            curves.append({"basis": basis, "points": points})
        return {
            "checkpoint": run.which,
            "num_basis": most,
            "as_trained": _scores(experiment, run.checkpoint, examples),
            "curves": curves,
        }

    @staticmethod
    def table(found: Mapping[str, Any]) -> Table:
        """One row for every basis and number of functions."""
        metric = "accuracy" if "accuracy" in found["as_trained"] else "loss"
        say = wording.percent if metric == "accuracy" else wording.decimal
        table = Table(
            "basis", "functions", "parameters", f"{found['split']} {metric}", box=box.SIMPLE
        )

        def add(name: str, number: int, scores: Mapping[str, Any]) -> None:
            parameters = wording.count(scores["num_parameters"])
            table.add_row(name, str(number), parameters, say(scores[metric]))

        add("as trained", found["num_basis"], found["as_trained"])
        for curve in found["curves"]:
            for point in curve["points"]:
                add(curve["basis"], point["num_basis"], point)
        return table

    @staticmethod
    @canvas.styled
    def figure(found: Mapping[str, Any]) -> Figure:
        """Accuracy (for regression, loss) over the number of functions of depth."""
        metric = "accuracy" if "accuracy" in found["as_trained"] else "loss"
        figure = canvas.new_figure(6.4, 4.0)
        axes = figure.add_subplot()
        axes.grid()
        trained = axes.axhline(
            found["as_trained"][metric], color=canvas.INK, lw=1.0, ls=(0, (4, 3))
        )
        handles, names = [trained], [f"as trained, {found['num_basis']} functions"]
        for index, curve in enumerate(found["curves"]):
            points = sorted((point["num_basis"], point[metric]) for point in curve["points"])
            (line,) = axes.plot(
                *zip(*points, strict=True), color=canvas.colour_of(index), lw=1.5,
                ls=canvas.dashes_of(index), marker=canvas.marker_of(index), ms=6,
            )  # fmt: skip
            handles.append(line)
            names.append(curve["basis"].replace("_", " "))
        axes.set_xscale("log", base=2)
        sizes = sorted(
            {point["num_basis"] for curve in found["curves"] for point in curve["points"]}
        )
        canvas.ticks(axes, "x", map(float, sizes), map(str, sizes))
        axes.minorticks_off()
        axes.set_xlabel("functions of depth that are kept")
        axes.set_ylabel(f"{found['split']} {metric}")
        if metric == "accuracy":
            canvas.percentages(axes)
        figure.legend(handles, names, loc="outside lower center", ncols=2)
        return figure


def _most_functions(block: BlockConfig) -> int:
    if block.residual is None:
        raise ConfigError(f"block.kind={block.kind} has no weights that are functions of depth")
    return block.residual.num_sets


def _smaller_sizes(most: int) -> list[int]:
    """`most`, its repeated halves, three quarters of each multiple of four among them, and 1."""
    halved = [most >> shift for shift in range(most.bit_length()) if most % (1 << shift) == 0]
    between = [3 * size // 4 for size in halved if size % 4 == 0]
    return sorted({*halved, *between, 1}, reverse=True)


def _fits(experiment: Experiment, basis: BasisName, size: int) -> bool:
    """Whether a basis of so many functions fits the network."""
    if basis != "piecewise_constant":
        return size > 1 or basis != "piecewise_linear"
    blocks = experiment.config.model.blocks
    return all(
        block.residual.num_steps % size == 0 for block in blocks if block.residual is not None
    )


def _projected(run: Run, basis: BasisName, size: int, examples: Split) -> dict[str, Any]:
    """The scores of the network with its weights projected onto `size` functions."""
    arrays, own = named(run.checkpoint.state), run.config
    refinement = Refinement(basis=basis, num_basis=size)
    stages = refined_stages(own, refinement, arrays, may_stay=True)
    config = with_blocks(own, [stage.block for stage in stages], f"of {size} {basis}")
    config = config.model_copy(update={"start": None})
    made = build(config, dataset=run.dataset)
    found = dataclasses.replace(run.checkpoint, state=transferred(arrays, stages))
    found = fitted(found, made.template, "the projected network")
    return {"num_basis": size} | _scores(made, found, examples)


def _scores(experiment: Experiment, checkpoint: Checkpoint, examples: Split) -> dict[str, Any]:
    state = checkpoint.state
    metrics = experiment.evaluator(examples)(state.params, state.statistics).metrics
    scores = {name: metrics[name] for name in ("accuracy", "loss") if name in metrics}
    return scores | {"num_parameters": experiment.num_parameters}
