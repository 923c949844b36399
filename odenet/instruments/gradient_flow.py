"""Does the gradient vanish or explode from the last layer to the first, or is it healthy?"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from rich.table import Table

from odenet.analysis.chain import chains_of
from odenet.analysis.flow_probe import NUM_EXAMPLES, BatchStatistics
from odenet.analysis.gradient_verdict import DEFAULT_THRESHOLD
from odenet.analysis.monitors import flow_probe
from odenet.experiment.loaded_run import Run
from odenet.instruments.base import RunInstrument
from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Axes, Figure
from odenet.plotting.lines import line

Curve = Sequence[wording.Number | None]

_MOST_ROWS = 24
_STATISTICS = {
    "training": (
        "batch norm: gradients in training mode, with the statistics of the measured examples; "
        "factors in evaluation mode, with the running statistics; the product of the factors is "
        "therefore not the gradient"
    ),
    "frozen": "batch norm: gradients and factors with the running statistics",
}
_TONES = {"healthy": "good", "vanishing": "bad", "exploding": "bad"}


class GradientFlow(RunInstrument):
    """Gradient norms of states and weights over depth, and the factor of every layer."""

    needs: ClassVar[frozenset[str]] = frozenset({"blocks", "verdict", "weights_verdict"})
    rule: ClassVar[str] = "change over depth, in decades; Glorot and Bengio 2010"
    alt: ClassVar[str] = (
        "Norms of the gradient at every layer, singular values of the factors between the "
        "layers, and mean and standard deviation of the activations"
    )
    caption: ClassVar[str] = (
        "Backpropagation goes from the right to the left, from the loss to the inputs. Every "
        "layer multiplies the gradient by a factor, its transposed Jacobian. Inside the band the "
        "gradient counts as healthy. The singular values bound the effect of a layer on any "
        "gradient; the crosses show the effect on this one. Values near 0 are possible with and "
        "without an identity term."
    )

    renamed_values: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "batch_statistics": {"live": "training"}
    }

    kind: Literal["gradient-flow"] = "gradient-flow"
    examples: int = NUM_EXAMPLES
    """Number of examples over which the loss is averaged, in one batch."""
    factor_examples: int = 8
    """Number of examples at which the factor of each layer is measured; 0 for none."""
    threshold: float = DEFAULT_THRESHOLD
    """Largest change over depth, in decades, at which the gradient counts as healthy."""
    batch_statistics: BatchStatistics | None = None
    """Statistics of batch norms for the gradients: those of the examples (training) or the running
    ones (frozen); without it, as in the run's training."""

    @classmethod
    def read(cls, directory: Path) -> dict[str, Any]:
        """The result in a run directory; an old name of the training mode is replaced.

        Raises:
            RunDirectoryError: if the file lacks a key of `needs`.
        """
        found = super().read(directory)
        modes = cls.renamed_values["batch_statistics"]
        mode = found.get("batch_statistics", "")
        return found | ({"batch_statistics": modes[mode]} if mode in modes else {})

    def check(self, run: Run) -> None:
        """Refuse a network whose gradient cannot be measured layer by layer."""
        chains_of(run.network)

    def measure(self, run: Run) -> dict[str, Any]:
        """Measure the gradient of the loss at every layer of the network.

        Raises:
            ConfigError: if an option is out of range, or `batch_statistics` is given for a network
                without batch norm.
        """
        probe = flow_probe(
            run.experiment,
            run.experiment.split(self.split),
            self.examples,
            self.factor_examples,
            self.threshold,
            self.batch_statistics,
        )
        state = run.checkpoint.state
        return {
            "num_examples": probe.num_examples,
            "factor_examples": min(self.factor_examples, probe.num_examples),
            **probe(state.params, state.statistics).plain(),
        }

    @staticmethod
    def table(found: Mapping[str, Any]) -> Table:
        """The layers from the last to the first, in the order of the backward pass."""
        table = Table(title=f"{found['directory']}, gradient from the last layer to the first")
        for heading in (
            "block",
            "layer",
            "|dL/dy|",
            "mean y",
            "std y",
            "std dL/dy",
            "σ min",
            "σ max",
        ):
            table.add_column(heading, justify="right")
        per_block = max(2, _MOST_ROWS // len(found["blocks"]))
        for number, block in reversed(list(enumerate(found["blocks"], start=1))):
            norms = block["gradients"]["norm"]
            for layer in _chosen(len(norms), per_block):
                table.add_row(
                    str(number),
                    str(layer),
                    wording.decimal(norms[layer]),
                    wording.decimal(block["states"]["mean"][layer]),
                    wording.decimal(block["states"]["std"][layer]),
                    wording.decimal(block["gradients"]["std"][layer]),
                    *_singular_values(block["factors"], layer),
                )
        return table

    @staticmethod
    def sentences(found: Mapping[str, Any]) -> list[str]:
        """The verdicts with their rules, and the bound by the identity term, one line each."""
        lines = [
            f"{name}: {verdict['verdict']}, by the rule `{verdict['rule']}`: {verdict['reason']}"
            for name, verdict in (
                ("gradient of the states", found["verdict"]),
                ("gradient of the weights", found["weights_verdict"]),
            )
        ]
        if found.get("batch_statistics") is not None:
            lines.append(_STATISTICS[found["batch_statistics"]])
        for number, identity in enumerate(found["identity"], start=1):
            if identity is None:
                continue
            norm, layer = wording.decimal(identity["branch"]), identity["layer"] + 1
            said = (
                "the identity term alone does not bound the decrease of the gradient"
                if identity["decades"] is None
                else f"the identity term bounds the decrease of the gradient over the block by "
                f"{-identity['decades']:.2f} decades"
            )
            lines.append(
                f"block {number}: |tau df/dy| reaches {norm} in layer {layer} at the measured "
                f"examples; {said}"
            )
        return lines

    @staticmethod
    @canvas.styled
    def figure(found: Mapping[str, Any]) -> Figure | None:
        """Gradient norms, singular values of the factors, and moments of the activations."""
        if not found:
            return None
        figure = canvas.new_figure(10.0, 6.6)
        (states, weights), (factors, spread) = figure.subplots(2, 2)
        starts = _starts(found["blocks"])
        _draw_states(states, found, starts)
        _draw_weights(weights, found, starts)
        _draw_factors(factors, found, starts)
        _draw_spread(spread, found, starts)
        ends = [starts[i] + len(b["states"]["std"]) - 1 for i, b in enumerate(found["blocks"])]
        for axes in (states, weights, factors, spread):
            axes.grid(axis="y")
            axes.set_xlim(-0.5, ends[-1] + 0.5)
            axes.set_xlabel("layer, from the first to the last")
            canvas.whole_numbers(axes)
            for start in starts[1:]:
                axes.axvline(start - 0.5, color=canvas.MUTED, lw=0.8, ls=(0, (1, 3)))
        return figure


def _singular_values(factors: Mapping[str, Any] | None, layer: int) -> tuple[str, str]:
    """The smallest and the largest singular value of the factor of the step before a layer."""
    if factors is None or layer == 0:
        return wording.NONE, wording.NONE
    smallest = None if factors["smallest"] is None else factors["smallest"][layer - 1]
    largest = wording.decimal(factors["largest"][layer - 1])
    return wording.decimal(smallest), largest if smallest is not None else f"≥ {largest}"


def _chosen(points: int, most: int) -> list[int]:
    """At most `most` of the layers, from the last to the first, with both ends."""
    if points <= most:
        return list(range(points - 1, -1, -1))
    step = (points - 1) / (most - 1)
    return [round((most - 1 - i) * step) for i in range(most)]


def _starts(blocks: Sequence[Mapping[str, Any]]) -> list[int]:
    """Position of the first state of every block on the axis."""
    starts, position = [], 0
    for block in blocks:
        starts.append(position)
        position += len(block["states"]["std"])
    return starts


def _draw_states(axes: Axes, found: Mapping[str, Any], starts: list[int]) -> None:
    verdict = found["verdict"]
    for start, block in zip(starts, found["blocks"], strict=True):
        _line(axes, start, block["gradients"]["norm"], 0)
    last = found["blocks"][-1]["gradients"]["norm"][-1]
    if wording.is_number(last) and last > 0:
        factor = 10 ** min(verdict["threshold"], 300.0)
        axes.axhspan(last / factor, last * factor, color=canvas.GOOD, alpha=0.08, lw=0)
    tone = canvas.TONES[_TONES.get(verdict["verdict"], "none")]
    axes.set_title(f"gradient of the states: {_short(verdict)}", color=tone)
    axes.set_ylabel("‖dL/dy‖ over the batch")
    canvas.logarithmic(axes)


def _draw_weights(axes: Axes, found: Mapping[str, Any], starts: list[int]) -> None:
    verdict = found["weights_verdict"]
    for start, block in zip(starts, found["blocks"], strict=True):
        rms = block["weights"]["rms"]
        steps = (len(block["states"]["std"]) - 1) // len(rms)
        # The mark of a set of weights is in the middle of its steps.
        _line(axes, start + (steps + 1) / 2, rms, 1, apart=steps)
    tone = canvas.TONES[_TONES.get(verdict["verdict"], "none")]
    axes.set_title(f"gradient of the weights: {_short(verdict)}", color=tone)
    axes.set_ylabel("root mean square of dL/dW")
    canvas.logarithmic(axes)


def _draw_factors(axes: Axes, found: Mapping[str, Any], starts: list[int]) -> None:
    as_evaluated = ", as evaluated" if found.get("batch_statistics") == "training" else ""
    axes.set_title(f"factor of each layer{as_evaluated}")
    axes.set_ylabel("singular values; change of the norm")
    axes.axhline(1, color=canvas.MUTED, lw=0.8)
    for start, block in zip(starts, found["blocks"], strict=True):
        factors, norms = block["factors"], block["gradients"]["norm"]
        if factors is not None:
            _line(axes, start + 1, factors["largest"], 0, "largest")
            if factors["smallest"] is not None:
                _line(axes, start + 1, factors["mean"], 2, "mean")
                _line(axes, start + 1, factors["smallest"], 1, "smallest")
        ratios = {
            start + 1 + step: before / after
            for step, (before, after) in enumerate(itertools.pairwise(norms))
            if wording.is_number(before) and wording.is_number(after) and after > 0
        }
        axes.plot(
            list(ratios), list(ratios.values()), "x", color=canvas.INK, ms=6, label="this gradient"
        )
    canvas.logarithmic(axes)
    _legend(axes)


def _draw_spread(axes: Axes, found: Mapping[str, Any], starts: list[int]) -> None:
    axes.set_title("activations")
    axes.set_ylabel("mean and standard deviation")
    for start, block in zip(starts, found["blocks"], strict=True):
        _line(axes, start, block["states"]["std"], 0, "std of y")
        _line(axes, start, block["states"]["mean"], 2, "mean of y")
        if block["responses"] is not None:
            _line(axes, start + 1, block["responses"]["std"], 1, "std of a layer's contribution")
    axes.axhline(0, color=canvas.MUTED, lw=0.8)
    _legend(axes)


def _line(
    axes: Axes,
    first: wording.Number,
    values: Curve,
    index: int,
    label: str | None = None,
    apart: int = 1,
) -> None:
    curve = [(first + i * apart, v) for i, v in enumerate(values) if wording.is_number(v)]
    line(axes, curve, index, label)


def _short(verdict: Mapping[str, Any]) -> str:
    return verdict["verdict"].partition(":")[0]


def _legend(axes: Axes) -> None:
    """Draw a legend with every label once, for any number of blocks."""
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    if once:
        axes.legend(list(once.values()), list(once), fontsize=8)
