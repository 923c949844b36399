"""What does every layer add, what does its loss cost, and how many are needed?"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from pydantic import field_validator
from rich.table import Table

from odenet.analysis.effective_depth import BlockDepth, check_lesions, depth_of_block
from odenet.arrays import Array
from odenet.experiment.loaded_run import Run
from odenet.instruments.base import RunInstrument, SplitName, normalized
from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Axes, Figure
from odenet.plotting.lines import line
from odenet.plotting.tables import framed

_MOST_ROWS = 40


class EffectiveDepth(RunInstrument):
    """Contributions of the layers, scores without each of them, and the layers that are needed."""

    needs: ClassVar[frozenset[str]] = frozenset({"blocks", "scores", "threshold"})
    rule: ClassVar[str] = "lesions, Veit et al. 2016, arXiv:1605.06431"
    alt: ClassVar[str] = (
        "Step sizes and contributions of the layers, scores without each of them, and scores "
        "with fewer and fewer of them"
    )
    caption: ClassVar[str] = (
        "A layer is left out by setting its step size to 0. Two neighbours are merged into one "
        "layer with the sum of their step sizes and the mean of their weights. At the lower "
        "right, layers go in the order of what each costs alone."
    )

    kind: Literal["effective-depth"] = "effective-depth"
    split: SplitName = "test"
    """Which examples."""
    examples: int = 1000
    """Examples that scores are averaged over, in one batch."""
    threshold: float = 0.01
    """Fall of the accuracy (of a regression, relative rise of the loss) that fewer layers may
    cost."""

    @field_validator("threshold")
    @classmethod
    def _is_a_drop(cls, threshold: float) -> float:
        if not 0 < threshold < 1:
            raise ValueError(
                f"the threshold is a drop of accuracy, above 0 and below 1; got {threshold}"
            )
        return threshold

    def check(self, run: Run) -> None:
        """Refuse a network of which no layer can be left out."""
        check_lesions(run.network)

    def measure(self, run: Run) -> dict[str, Any]:
        """Measure what every layer adds, what its loss costs, and which neighbours can be merged.

        Raises:
            ConfigError: if `examples` is less than 1.
        """
        network, examples = run.network, self.chosen(run, self.examples)
        inputs, targets = normalized(run, examples), jnp.asarray(examples.targets)

        def score(outputs: Array):
            scores = run.experiment.objective.loss(outputs, targets)
            return {name: jnp.mean(values) for name, values in scores.items()}

        blocks = [
            depth_of_block(network, index, inputs, score) for index in range(len(network.blocks))
        ]
        return {
            "num_examples": len(examples),
            "threshold": self.threshold,
            "scores": {name: float(values[0]) for name, values in blocks[0].removed.items()},
            "blocks": [_plain(block, self.threshold) for block in blocks],
        }

    @staticmethod
    def table(found: Mapping[str, Any]) -> Table:
        """Every layer: step, contribution, and the score without it or merged with the next."""
        metric = metric_of(found)
        table = framed(
            f"{found['directory']}: {metric} {say(metric, found['scores'][metric])} as it is",
            apart=2,
        )
        for heading in ("block", "layer", "tau", "adds", "left out", "merged with next"):
            table.add_column(heading, justify="right")
        per_block = max(2, _MOST_ROWS // len(found["blocks"]))
        for number, block in enumerate(found["blocks"], start=1):
            shown = sorted(block["order"][::-1][:per_block])
            for layer in shown:
                merged = None if block["merged"] is None else block["merged"][metric]
                table.add_row(
                    str(number),
                    str(layer),
                    wording.decimal(block["taus"][layer]),
                    wording.percent(block["contributions"][layer]),
                    say(metric, block["left_out"][metric][layer]),
                    wording.NONE
                    if merged is None or layer >= len(merged)
                    else say(metric, merged[layer]),
                )
        return table

    @staticmethod
    def sentences(found: Mapping[str, Any]) -> list[str]:
        """How many layers of every block are needed, one line each."""
        metric = metric_of(found)
        cost = (
            f"{wording.points(found['threshold'])} of accuracy"
            if metric == "accuracy"
            else f"a rise of the loss of {wording.percent(found['threshold'])}"
        )
        lines = []
        for number, block in enumerate(found["blocks"], start=1):
            needed, layers = block["effective_depth"], block["num_layers"]
            rest = (
                "no layer can go for less"
                if needed == layers
                else f"the {layers - needed} that cost least can go together"
            )
            lines.append(
                f"block {number}: effective depth {needed} of {layers}: {rest} (allowed: {cost}); "
                f"by size of their contributions, {block['participation']:.1f} layers take part"
            )
        return lines

    @staticmethod
    @canvas.styled
    def figure(found: Mapping[str, Any]) -> Figure | None:
        """Step sizes, contributions, scores without a layer, and with fewer and fewer layers."""
        if not found:
            return None
        figure = canvas.new_figure(10.0, 6.4)
        (taus, adds), (lesions, removed) = figure.subplots(2, 2)
        metric, place = metric_of(found), 0
        for axes, title in (
            (taus, "step sizes"),
            (adds, "what a layer adds, relative to the state"),
        ):
            axes.set_title(title)
        for index, block in enumerate(found["blocks"]):
            layers = range(place, place + block["num_layers"])
            _line(taus, layers, block["taus"], 0)
            _line(adds, layers, block["contributions"], 0)
            _line(lesions, layers, block["left_out"][metric], 0, "left out", index)
            if block["merged"] is not None:
                _line(lesions, layers, block["merged"][metric], 1, "merged with the next", index)
            _line(removed, range(block["num_layers"]), block["removed"][metric], index,
                  f"block {index + 1}", 0)  # fmt: skip
            place += block["num_layers"]
        whole, threshold = found["scores"][metric], found["threshold"]
        lowest = whole - threshold if metric == "accuracy" else whole * (1 + threshold)
        lesions.axhline(whole, color=canvas.MUTED, lw=0.8)
        lesions.set_title("without one layer, or with two merged")
        removed.axhline(lowest, color=canvas.GOOD, lw=1, ls=":", label="what counts as enough")
        removed.set_title("without the layers that cost least")
        for axes in (taus, adds, lesions):
            axes.set_xlabel("layer, from the first to the last")
            axes.set_xlim(-0.5, place - 0.5)
        removed.set_xlabel("layers taken out")
        for axes in (lesions, removed):
            axes.set_ylabel(metric)
            axes.legend(fontsize=8)
            if metric == "accuracy":
                canvas.percentages(axes)
        canvas.percentages(adds)
        _from_zero(taus)
        _from_zero(adds)
        for axes in (taus, adds, lesions, removed):
            canvas.whole_numbers(axes)
            axes.grid(axis="y")
        return figure


def _plain(block: BlockDepth, threshold: float) -> dict[str, Any]:
    return {
        "num_layers": len(block.taus),
        "effective_depth": block.effective_depth(threshold),
        "participation": block.participation,
        "taus": block.taus.tolist(),
        "contributions": block.contributions.tolist(),
        "left_out": _lists(block.left_out),
        "merged": None if block.merged is None else _lists(block.merged),
        "removed": _lists(block.removed),
        "order": block.order.tolist(),
    }


def _lists(scores: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in scores.items()}


def metric_of(found: Mapping[str, Any]) -> str:
    """What layers are judged by."""
    return "accuracy" if "accuracy" in found["scores"] else "loss"


def say(metric: str, value: float | None) -> str:
    """A score as a reader knows it."""
    return wording.percent(value) if metric == "accuracy" else wording.decimal(value)


def _line(
    axes: Axes, xs: Sequence[int], ys: Sequence[float | None], index: int,
    label: str | None = None, number: int = 0,
) -> None:  # fmt: skip
    """One curve; of several blocks, the first carries the label."""
    curve = [(x, y) for x, y in zip(xs, ys, strict=False) if y is not None]
    line(axes, curve, index, label if number == 0 else None)


def _from_zero(axes: Axes) -> None:
    low, high = axes.get_ylim()
    room = 0.05 * (max(0.0, high) - min(0.0, low))
    axes.set_ylim(min(0.0, low - room), max(0.0, high + room))
