"""How few functions of depth a trained network needs."""

from collections.abc import Mapping
from typing import Any

from odenet.reports.figures import canvas
from odenet.reports.figures.canvas import Figure


@canvas.styled
def basis_figure(found: Mapping[str, Any]) -> Figure:
    """Accuracy (loss, for regression) against the number of functions that weights are made of.

    Args:
        found: What `basis.json` holds.
    """
    metric = "accuracy" if "accuracy" in found["as_trained"] else "loss"
    figure = canvas.new_figure(6.4, 4.0)
    axes = figure.add_subplot()
    axes.grid()
    trained = axes.axhline(found["as_trained"][metric], color=canvas.INK, lw=1.0, ls=(0, (4, 3)))
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
    sizes = sorted({point["num_basis"] for curve in found["curves"] for point in curve["points"]})
    canvas.ticks(axes, "x", map(float, sizes), map(str, sizes))
    axes.minorticks_off()
    axes.set_xlabel("functions of depth that are kept")
    axes.set_ylabel(f"{found['split']} {metric}")
    if metric == "accuracy":
        canvas.percentages(axes)
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    return figure
