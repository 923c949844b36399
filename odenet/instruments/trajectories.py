"""How do the states move through depth, and do their paths cross, which no ODE allows?"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import field_validator
from rich.table import Table

from odenet.analysis.trajectories import plain, trajectories
from odenet.experiment.loaded_run import Run
from odenet.instruments.base import RunInstrument, normalized
from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Axes, Figure

_MOST_CLASSES = 8


class Trajectories(RunInstrument):
    """Paths of examples through the depth of every block, and the pairs that cross."""

    needs: ClassVar[frozenset[str]] = frozenset({"blocks", "targets", "num_examples"})
    rule: ClassVar[str] = "paths of an ODE never cross; Ott et al. 2021, arXiv:2007.15386"
    alt: ClassVar[str] = (
        "Paths of examples through the depth of every block, with the field that they follow, "
        "and the number of pairs that cross in every step"
    )
    caption: ClassVar[str] = (
        "Colours are classes, or values from low to high. The paths of a one-dimensional state "
        "are drawn over depth; those of a two-dimensional state in the plane, from the small "
        "dots to the large ones, with the field at three depths; those of a larger state by its "
        "two principal components, where paths may seem to cross that do not. Below: pairs of "
        "paths that cross in the whole state space; in one dimension no ODE allows this."
    )

    kind: Literal["trajectories"] = "trajectories"
    examples: int = 64
    """Number of examples whose paths are measured, at least two."""

    @field_validator("examples")
    @classmethod
    def _makes_pairs(cls, examples: int) -> int:
        if examples < 2:
            raise ValueError(
                f"paths cross in pairs, so `examples` must be at least 2; got {examples}"
            )
        return examples

    def measure(self, run: Run) -> dict[str, Any]:
        """Compute the paths of examples through depth, and count the crossings.

        Raises:
            ConfigError: if a state is not finite.
        """
        examples = self.chosen(run, self.examples)
        return {
            "num_examples": len(examples),
            "targets": np.asarray(examples.targets).reshape(len(examples), -1)[:, 0].tolist(),
            "blocks": [
                plain(block) for block in trajectories(run.network, normalized(run, examples))
            ],
        }

    @staticmethod
    def table(found: Mapping[str, Any]) -> Table:
        """A row for every block."""
        table = Table(title=f"{found['directory']}, paths of {found['num_examples']} examples")
        for heading in ("block", "state", "steps", "crossing pairs", "most in step", "reversed"):
            table.add_column(heading, justify="right")
        for number, block in enumerate(found["blocks"], start=1):
            crossed, turned = block["crossings"], block["orientation"]
            most = max(crossed["in_step"], default=0)
            table.add_row(
                str(number),
                str(block["size"]),
                str(len(crossed["in_step"])),
                f"{crossed['pairs']} of {crossed['all_pairs']}",
                wording.NONE if not most else str(1 + crossed["in_step"].index(most)),
                wording.NONE if turned is None else str(turned["reversed_examples"]),
            )
        return table

    @staticmethod
    def sentences(found: Mapping[str, Any]) -> list[str]:
        """Conclusions from crossings and determinants, and the variance that the plane explains."""
        lines = []
        for number, block in enumerate(found["blocks"], start=1):
            lines.append(f"block {number}: {_of_pairs(block)}")
            turned = block["orientation"]
            if turned is not None:
                lines.append(f"block {number}: {_of_determinants(turned, found['num_examples'])}")
            if block["explained"] is not None:
                first, second = block["explained"]
                lines.append(
                    f"block {number}: the two principal components in the figure explain "
                    f"{wording.percent(first)} and {wording.percent(second)} of the variance of "
                    f"the {block['size']}-dimensional state"
                )
        return lines

    @staticmethod
    @canvas.styled
    def figure(found: Mapping[str, Any]) -> Figure | None:
        """A row for every block: its paths, the field at some depths, and its crossings."""
        if not found:
            return None
        blocks, colours = found["blocks"], _colours(found["targets"])
        columns = [2 + (len(block["fields"]) if block["size"] == 2 else 0) for block in blocks]
        figure = canvas.new_figure(10.0 if max(columns) < 5 else 13.0, 3.5 * len(blocks))
        rows = figure.subfigures(len(blocks), 1, squeeze=False)[:, 0]
        for number, (block, row, panels) in enumerate(
            zip(blocks, rows, columns, strict=True), start=1
        ):
            axes = row.subplots(1, panels)
            _draw_paths(axes[0], block, colours)
            for panel, sample in zip(axes[1:-1], block["fields"], strict=block["size"] == 2):
                _draw_field(panel, block, sample, colours)
            _draw_crossings(axes[-1], block)
            if len(blocks) > 1:
                axes[0].set_title(f"block {number}: {axes[0].get_title()}")
        return figure


def _of_pairs(block: Mapping[str, Any]) -> str:
    crossed = block["crossings"]
    pairs = f"{crossed['pairs']} of {crossed['all_pairs']} pairs of paths"
    if block["size"] == 1:
        proof = "no ODE of this state has such paths" if crossed["pairs"] else "as with any ODE"
        return f"{pairs} change their order; {proof}"
    part = wording.percent(crossed["nearness"])
    return (
        f"{pairs} pass each other within a step, at less than {part} of their distance before and "
        f"after it"
    )


def _of_determinants(turned: Mapping[str, Any], num_examples: int) -> str:
    reversed_examples = turned["reversed_examples"]
    hidden = (
        f" ({turned['unresolved']} determinants are hidden by round-off)"
        if turned["unresolved"]
        else ""
    )
    if reversed_examples:
        return (
            f"at {reversed_examples} of {num_examples} examples its map reverses orientation "
            f"(determinant below 0), which no flow of an ODE of this state does{hidden}"
        )
    return f"its map keeps orientation at all {num_examples} examples, as every flow does{hidden}"


def _colours(targets: Sequence[wording.Number]) -> list[Any]:
    """A colour for every example: by its class, or by its value between lowest and highest."""
    kinds = sorted(set(targets))
    if len(kinds) <= _MOST_CLASSES and all(float(kind).is_integer() for kind in kinds):
        return [canvas.colour_of(kinds.index(target)) for target in targets]
    low, spread = kinds[0], (kinds[-1] - kinds[0]) or 1.0
    return [canvas.depth_colours()((target - low) / spread) for target in targets]


def _draw_paths(axes: Axes, block: Mapping[str, Any], colours: Sequence[Any]) -> None:
    plane, size = block["plane"], block["size"]
    times = [block["times"][point] for point in block["points"]]
    for index, colour in enumerate(colours):
        path = [point[index] for point in plane]
        if size == 1:
            axes.plot(times, [state[0] for state in path], color=colour, lw=0.9, alpha=0.8)
            continue
        axes.plot(*zip(*path, strict=True), color=colour, lw=0.8, alpha=0.55)
        for state, area in ((path[0], 6), (path[-1], 22)):
            axes.scatter(*state, s=area, color=[colour], lw=0, zorder=3)
    if size == 1:
        _draw_directions(axes, block)
        axes.set(xlabel="depth-time t", ylabel="state h", title="paths over depth")
        return
    axes.set_title("paths" if size == 2 else "paths, principal components")
    names = ("h₁", "h₂")
    if block["explained"] is not None:
        names = tuple(
            f"component {i} ({part:.0%})" for i, part in enumerate(block["explained"], start=1)
        )
    axes.set(xlabel=names[0], ylabel=names[1])


def _draw_directions(axes: Axes, block: Mapping[str, Any]) -> None:
    starts, values = [], []
    for sample in block["fields"]:
        starts += [(sample["t"], state) for (state,) in sample["places"]]
        values += [value for (value,) in sample["slopes"]]
    if starts:
        canvas.directions(axes, starts, values)


def _draw_field(
    axes: Axes, block: Mapping[str, Any], sample: Mapping[str, Any], colours: Sequence[Any]
) -> None:
    x, y = zip(*sample["places"], strict=True)
    u, v = zip(*sample["slopes"], strict=True)
    axes.quiver(x, y, u, v, color=canvas.MUTED, alpha=0.8, width=0.006)
    # The stored point nearest to the step of this field.
    point = min(range(len(block["points"])), key=lambda i: abs(block["points"][i] - sample["step"]))
    states = block["plane"][point]
    axes.scatter(*zip(*states, strict=True), s=9, color=list(colours), lw=0, zorder=3)
    axes.set_title(f"field of step {sample['step'] + 1}, t = {sample['t']:.3g}")
    axes.set_xlabel("h₁")


def _draw_crossings(axes: Axes, block: Mapping[str, Any]) -> None:
    crossed, turned = block["crossings"], block["orientation"]
    numbers = crossed["in_step"]
    steps = range(1, len(numbers) + 1)
    axes.step(steps, numbers, where="mid", color=canvas.colour_of(5), label="crossing pairs")
    if turned is not None:
        axes.step(
            steps, turned["in_step"], where="mid", color=canvas.colour_of(0), ls="--",
            label="examples with reversed orientation",
        )  # fmt: skip
    axes.set_title(f"{crossed['pairs']} of {crossed['all_pairs']} pairs cross")
    axes.set_xlabel("step")
    others: list[int] = [] if turned is None else turned["in_step"]
    most = max(2, max(numbers, default=0), max(others, default=0))
    axes.set_ylim(-0.04 * most, 1.35 * most)
    axes.grid(axis="y")
    axes.legend(fontsize=8, loc="upper right")
    canvas.whole_numbers(axes, 8)
