"""How much does every layer contribute, and how many layers are needed?"""

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
    """Contributions of the layers, scores without each layer, and the number of needed layers."""

    needs: ClassVar[frozenset[str]] = frozenset({"blocks", "scores", "threshold"})
    rule: ClassVar[str] = "lesions, Veit et al. 2016, arXiv:1605.06431"
    alt: ClassVar[str] = (
        "Step sizes and contributions of the layers, scores without each layer, and scores with "
        "fewer and fewer layers"
    )
    caption: ClassVar[str] = (
        "A layer is left out by setting its step size to 0. Two neighbours are merged into one "
        "layer with the sum of their step sizes and the mean of their weights. At the lower "
        "right, layers are removed in the order of their individual cost, the cheapest first."
    )

    kind: Literal["effective-depth"] = "effective-depth"
    split: SplitName = "test"
    """Split of the examples."""
    examples: int = 1000
    """Number of examples over which scores are averaged, in one batch."""
    threshold: float = 0.01
    """Largest drop of the accuracy (for regression, relative rise of the loss) that fewer layers
    may cause."""

    @field_validator("threshold")
    @classmethod
    def _is_a_drop(cls, threshold: float) -> float:
        if not 0 < threshold < 1:
            raise ValueError(
                f"the threshold, a drop of accuracy, must be above 0 and below 1; got {threshold}"
            )
        return threshold

    def check(self, run: Run) -> None:
        """Refuse a network whose layers cannot be left out."""
        check_lesions(run.network)

    def measure(self, run: Run) -> dict[str, Any]:
        """Measure contributions, scores without each layer, and scores with merged neighbours.

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
        """A row per layer: step size, contribution, score without it, score with it merged."""
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
        """The effective depth of every block, one line each."""
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
                "every layer is needed"
                if needed == layers
                else f"the {layers - needed} cheapest layers can be removed together"
            )
            lines.append(
                f"block {number}: effective depth {needed} of {layers}: {rest} (allowed: {cost}); "
                f"by the size of the contributions, {block['participation']:.1f} layers take part"
            )
        return lines

    @staticmethod
    @canvas.styled
    def figure(found: Mapping[str, Any]) -> Figure | None:
        """Step sizes, contributions, scores without one layer, and scores with fewer layers."""
        if not found:
            return None
        figure = canvas.new_figure(10.0, 6.4)
        (taus, adds), (lesions, removed) = figure.subplots(2, 2)
        metric, first = metric_of(found), 0
        for axes, title in (
            (taus, "step sizes"),
            (adds, "contribution of a layer, relative to the state"),
        ):
            axes.set_title(title)
        for index, block in enumerate(found["blocks"]):
            layers = range(first, first + block["num_layers"])
            _line(taus, layers, block["taus"], 0)
            _line(adds, layers, block["contributions"], 0)
            _line(lesions, layers, block["left_out"][metric], 0, "left out", index)
            if block["merged"] is not None:
                _line(lesions, layers, block["merged"][metric], 1, "merged with the next", index)
            _line(removed, range(block["num_layers"]), block["removed"][metric], index,
                  f"block {index + 1}", 0)  # fmt: skip
            first += block["num_layers"]
        whole, threshold = found["scores"][metric], found["threshold"]
        lowest = whole - threshold if metric == "accuracy" else whole * (1 + threshold)
        lesions.axhline(whole, color=canvas.MUTED, lw=0.8)
        lesions.set_title("without one layer, or with two merged")
        removed.axhline(lowest, color=canvas.GOOD, lw=1, ls=":", label="threshold")
        removed.set_title("without the cheapest layers")
        for axes in (taus, adds, lesions):
            axes.set_xlabel("layer, from the first to the last")
            axes.set_xlim(-0.5, first - 0.5)
        removed.set_xlabel("removed layers")
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
    """The score by which layers are judged."""
    return "accuracy" if "accuracy" in found["scores"] else "loss"


def say(metric: str, value: float | None) -> str:
    """A score as text: a percentage for accuracy, a decimal for loss."""
    return wording.percent(value) if metric == "accuracy" else wording.decimal(value)


def _line(
    axes: Axes, xs: Sequence[int], ys: Sequence[float | None], index: int,
    label: str | None = None, number: int = 0,
) -> None:  # fmt: skip
    """Draw one curve; of several blocks, only the first has the label."""
    curve = [(x, y) for x, y in zip(xs, ys, strict=False) if y is not None]
    line(axes, curve, index, label if number == 0 else None)


def _from_zero(axes: Axes) -> None:
    low, high = axes.get_ylim()
    margin = 0.05 * (max(0.0, high) - min(0.0, low))
    axes.set_ylim(min(0.0, low - margin), max(0.0, high + margin))
