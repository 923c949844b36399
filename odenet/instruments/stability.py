"""Are the layers stable steps of their method, and how do perturbations grow over depth?"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from rich.table import Table

from odenet.analysis.stability import plain, stability
from odenet.analysis.stability_probe import STABILITY_EXAMPLES
from odenet.experiment.loaded_run import Run
from odenet.instruments.base import RunInstrument, normalized
from odenet.plotting import canvas, wording
from odenet.plotting.canvas import Axes, Figure
from odenet.plotting.lines import line
from odenet.plotting.rows import evenly

_MOST_ROWS = 24


class Stability(RunInstrument):
    """Eigenvalues of the layers in the stability region of the method, and growth over depth."""

    needs: ClassVar[frozenset[str]] = frozenset({"blocks", "num_examples"})
    rule: ClassVar[str] = "|R(tau lambda)| <= 1, Haber and Ruthotto 2017, arXiv:1705.03341"
    alt: ClassVar[str] = (
        "Eigenvalues of every layer in the stability region of the method, the largest real "
        "part and the logarithmic norm over depth, and the growth of perturbations"
    )
    caption: ClassVar[str] = (
        "Left: eigenvalues of df/dh at the start of every step, times the step size; inside the "
        "green region the step is stable. Middle: above 0 the field itself amplifies a "
        "perturbation, in the long run (the largest Re λ) or at once (μ₂). Right: growth of "
        "perturbations of the block's first state. The curves are the maximum over examples; "
        "for random directions and for the direction of least growth, the mean."
    )

    kind: Literal["stability"] = "stability"
    examples: int = STABILITY_EXAMPLES
    """Number of examples along whose trajectories stability is measured."""

    def measure(self, run: Run) -> dict[str, Any]:
        """Measure the stability of the steps, and the growth of perturbations.

        Raises:
            ConfigError: if a layer is not a step of a method, a state is not finite, or `examples`
                is less than 1.
        """
        inputs = normalized(run, self.chosen(run, self.examples))
        return {
            "num_examples": len(inputs),
            "blocks": [plain(block) for block in stability(run.network, inputs)],
        }

    @staticmethod
    def table(found: Mapping[str, Any]) -> Table:
        """The layers from the first to the last."""
        table = Table(title=f"{found['directory']}, steps from the first to the last")
        for heading in ("block", "step", "tau", "max Re λ", "μ₂", "factor", "stable", "growth"):
            table.add_column(heading, justify="right")
        per_block = max(2, _MOST_ROWS // len(found["blocks"]))
        for number, block in enumerate(found["blocks"], start=1):
            steps, growth = block["steps"], block["growth"]
            for step in evenly(len(block["taus"]), per_block):
                factor = wording.NONE if steps is None else wording.decimal(_at(steps, step))
                stable = wording.NONE if steps is None else "yes" if steps["stable"][step] else "no"
                grown = None if growth is None else growth["largest"]["largest"][step + 1]
                table.add_row(
                    str(number),
                    str(step + 1),
                    wording.decimal(block["taus"][step]),
                    wording.decimal(block["abscissa"]["largest"][step]),
                    wording.decimal(block["log_norm"]["largest"][step]),
                    factor,
                    stable,
                    wording.decimal(grown),
                )
        return table

    @staticmethod
    def sentences(found: Mapping[str, Any]) -> list[str]:
        """Stability of the steps, range of the eigenvalues, and growth of perturbations."""
        lines = []
        for number, block in enumerate(found["blocks"], start=1):
            lines.append(f"block {number}: {_of_steps(block)}")
            abscissa = [value for value in block["abscissa"]["largest"] if value is not None]
            lines.append(
                f"block {number}: the largest real part of an eigenvalue of df/dh is between "
                f"{wording.decimal(min(abscissa))} and {wording.decimal(max(abscissa))} over depth"
                + ("" if block["exact"] else ", by Arnoldi's method, from below")
            )
            growth = block["growth"]
            if growth is not None:
                lines.append(
                    f"block {number}: from its first state to its last a perturbation grows by up "
                    f"to {wording.decimal(growth['largest']['largest'][-1])}, one in a random "
                    f"direction by {wording.decimal(growth['typical']['mean'][-1])} "
                    f"(root mean square)"
                )
        return lines

    @staticmethod
    @canvas.styled
    def figure(found: Mapping[str, Any]) -> Figure | None:
        """A row for every block: eigenvalues, abscissa with logarithmic norm, and growth."""
        if not found:
            return None
        blocks = found["blocks"]
        figure = canvas.new_figure(10.0, 3.5 * len(blocks))
        for number, (row, block) in enumerate(
            zip(figure.subplots(len(blocks), 3, squeeze=False), blocks, strict=True), start=1
        ):
            plane, depth, growth = row
            _draw_plane(figure, plane, block)
            _draw_depth(depth, block)
            _draw_growth(growth, block)
            if len(blocks) > 1:
                plane.set_title(f"block {number}: {plane.get_title()}")
        return figure


def _at(steps: Mapping[str, Any], step: int) -> float | None:
    return steps["amplification"][step]


def _of_steps(block: Mapping[str, Any]) -> str:
    steps = block["steps"]
    if steps is None:
        return f"its steps are not judged: {block['reason']}"
    stable, number = sum(steps["stable"]), len(steps["stable"])
    scale, step = steps["critical_scale"], steps["critical_step"] + 1
    if scale is None:
        further = "they are stable at every step size"
    elif scale < 0.05 and stable < number:
        further = f"step {step} is unstable at every smaller step size too"
    else:
        further = (
            f"all step sizes may be multiplied by {wording.decimal(scale)} before the first, step "
            f"{step}, becomes unstable"
        )
    return (
        f"{stable} of {number} steps are inside the stability region of {block['method']}; "
        f"{further}"
    )


def _draw_plane(figure: Figure, axes: Axes, block: Mapping[str, Any]) -> None:
    steps = block["steps"]
    name = "τ²λ" if steps is not None and steps["region"]["power"] == 2 else "τλ"
    axes.set_title(f"{name} of every step")
    axes.set_xlabel(f"Re {name}")
    axes.set_ylabel(f"Im {name}")
    reach: list[float] = []
    if steps is not None:
        region = steps["region"]
        canvas.shaded_below_one(axes, region["real"], region["imaginary"], region["amplification"])
        limit = region["axis_limit"]
        reach = [min(limit or 0.0, 3.0)]
        if limit is not None and limit > 0.1:
            x, y = ([-limit, 0], [0, 0]) if region["power"] == 2 else ([0, 0], [-limit, limit])
            axes.plot(x, y, color=canvas.GOOD, lw=5, alpha=0.35, solid_capstyle="butt")
    for draw in (axes.axhline, axes.axvline):
        draw(0, color=canvas.MUTED, lw=0.8)
    depths, real, imaginary = [], [], []
    for step, (re, im) in enumerate(block["products"], start=1):
        for x, y in zip(re, im, strict=True):
            if wording.is_number(x) and wording.is_number(y):
                depths.append(step)
                real.append(x)
                imaginary.append(y)
    marks = axes.scatter(
        real, imaginary, c=depths, cmap=canvas.depth_colours(), s=10, vmin=1,
        vmax=max(2, len(block["products"])), lw=0, zorder=3,
    )  # fmt: skip
    bar = figure.colorbar(marks, ax=axes, shrink=0.8, aspect=30, pad=0.02)
    bar.set_label("step")
    _zoom(axes, real, [*imaginary, *reach])


def _zoom(axes: Axes, real: Sequence[float], imaginary: Sequence[float]) -> None:
    """Set the limits to show all marks, the origin and the boundary of the region."""
    height = max([1.4, *(1.15 * abs(y) for y in imaginary)])
    left, right = min([-2.4, *(1.15 * x for x in real)]), max([0.4, *(1.15 * x for x in real)])
    # Equal scales on both axes: the shorter side is widened.
    spare = max(0.0, 2 * height - (right - left)) / 2
    axes.set_xlim(left - spare, right + spare)
    axes.set_ylim(-height, height)
    axes.set_aspect("equal", adjustable="box")


def _draw_depth(axes: Axes, block: Mapping[str, Any]) -> None:
    axes.set_title("Jacobian of the field")
    axes.set_xlabel("step, from the first to the last")
    axes.axhline(0, color=canvas.MUTED, lw=0.8)
    _line(axes, 1, block["log_norm"]["largest"], 1, "logarithmic norm μ₂")
    _line(axes, 1, block["abscissa"]["largest"], 0, "largest Re λ")
    axes.grid(axis="y")
    canvas.whole_numbers(axes, 8)
    axes.legend(fontsize=8)


def _draw_growth(axes: Axes, block: Mapping[str, Any]) -> None:
    axes.set_title("growth of a perturbation ‖δy‖ / ‖δy₀‖")
    axes.set_xlabel("point, from the first state to the last")
    growth = block["growth"]
    if growth is None:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center")
        return
    _line(axes, 0, growth["largest"]["largest"], 1, "at most")
    _line(axes, 0, growth["typical"]["mean"], 0, "random direction")
    if growth["smallest"] is not None:
        _line(axes, 0, growth["smallest"]["mean"], 2, "at least")
    axes.axhline(1, color=canvas.MUTED, lw=0.8)
    axes.grid(axis="y")
    canvas.whole_numbers(axes, 8)
    canvas.logarithmic(axes)
    axes.legend(fontsize=8)


def _line(axes: Axes, first: int, values: Sequence[float | None], index: int, label: str) -> None:
    curve = [(first + i, v) for i, v in enumerate(values) if wording.is_number(v)]
    line(axes, curve, index, label, most_marks=40)
