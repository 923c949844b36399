"""Step sizes over depth, learned and fixed."""

from collections.abc import Mapping, Sequence

from odenet.plotting import canvas
from odenet.plotting.canvas import Figure

Taus = Sequence[Sequence[float]]
"""The step sizes of every block."""


@canvas.styled
def step_sizes_figure(taus: Mapping[str, Taus]) -> Figure | None:
    """Step size tau of every layer, first to last, blocks one after the other.

    Args:
        taus: For every network the step sizes of its blocks; empty for a block without depth-time.

    Returns:
        The figure; None if no network has step sizes.
    """
    order = list(taus)
    together: dict[tuple[tuple[float, ...], ...], list[str]] = {}
    for name, blocks in taus.items():
        if any(len(block) for block in blocks):
            # Equal lines would hide each other. They are drawn once, with all names.
            together.setdefault(tuple(map(tuple, blocks)), []).append(name)
    if not together:
        return None
    figure = canvas.new_figure(10.0, 3.0 + 0.22 * len(together))
    axes = figure.add_subplot()
    axes.grid(axis="y")
    handles, labels = [], []
    for blocks, names in together.items():
        index = order.index(names[0])
        start = 1
        for block in blocks:
            (line,) = axes.plot(
                range(start, start + len(block)), block, color=canvas.colour_of(index), lw=1.8,
                ls=canvas.dashes_of(index), marker=canvas.marker_of(index), ms=6,
            )  # fmt: skip
            start += len(block)
        handles.append(line)
        horizon = ", ".join(f"{sum(block):.3g}" for block in blocks)
        together_named = ", ".join(canvas.legible(name) for name in names)
        labels.append(f"{canvas.legible(together_named, 90)}  (horizon {horizon})")
    for blocks in {tuple(map(len, blocks)) for blocks in together}:
        for block in range(1, len(blocks)):
            axes.axvline(sum(blocks[:block]) + 0.5, color=canvas.MUTED, lw=0.8, ls=(0, (1, 3)))
    values = [tau for blocks in together for block in blocks for tau in block]
    if min(values) >= 0:
        axes.set_ylim(0, 1.12 * max(values) or 1.0)
    else:
        axes.axhline(0, color=canvas.MUTED, lw=0.8)
    axes.set_xlabel("step, from the first layer to the last")
    axes.set_ylabel("step size τ (depth-time)")
    canvas.whole_numbers(axes)
    figure.legend(handles, labels, loc="outside lower center", ncols=1)
    return figure
