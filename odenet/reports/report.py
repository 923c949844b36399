"""Write the figures and the page of a run into its run directory."""

from collections.abc import Mapping
from pathlib import Path

from odenet.durable import replace
from odenet.errors import RunDirectoryError
from odenet.instruments.table import run_instruments
from odenet.plotting.canvas import Figure
from odenet.reports.contents import ComparisonContents, RunContents, read_contents
from odenet.reports.figures import (
    cost_figure,
    curves_figure,
    loss_and_error_figure,
    matrix_figure,
    solver_figure,
    step_sizes_figure,
)
from odenet.reports.html import Picture, comparison_page, picture_of, run_page
from odenet.reports.monitors import draw, history

REPORT, FIGURES = "report.html", "figures"

_CAPTIONS = {
    "solver": (
        "The test metric of each trained network under every solver, against the measured error "
        "of the solver",
        "Every mark is the same trained network under another solver; the error of the solver "
        "decreases to the right. The star is the network under its training solver. The filled "
        "marks are the more exact solvers. If they are level with the star, the network is an "
        "ODE; otherwise its result depends on the solver. At the far right is the reference "
        "solve, whose error is 0 by definition; at the far left are solves whose outputs are not "
        "finite.",
    ),
    "matrix": (
        "The test metric of every pair of a trained network and a solver",
        "A column of one colour is a network that does not depend on its solver; coarse solvers "
        "may differ. A dash is a pair that does not exist.",
    ),
    "cost": (
        "The test metric of every pair against field evaluations and time of a batch",
        "Cost of a solver against the test metric. Each mark is one evaluation; the stars are the "
        "networks under their training solvers. Failed solves are left out.",
    ),
    "step_sizes": (
        "Step sizes of every network from the first layer to the last",
        "Step sizes after training. Their sum is the horizon, the depth-time over which the "
        "network is integrated. Networks with the same step sizes share one line.",
    ),
    "curves": (
        "Loss and accuracy during training, on training batches and on validation data",
        "Left: training batches. Right: the validation data, which the optimiser does not use.",
    ),
    "loss_and_error": (
        "Training loss and test error during training, on two axes",
        "Dashed, left axis: the mean loss on training batches since the previous evaluation. "
        "Solid, right axis: the fraction of misclassified test examples.",
    ),
}


def write_report(directory: Path) -> Path:
    """Write `report.html` and `figures/` of a run directory into the same directory.

    A comparison needs its `comparison.json`. A single run may be incomplete; the report then says
    so. Files of an earlier report are replaced, each atomically.

    Args:
        directory: The directory of a comparison or a run.

    Returns:
        Path of `report.html`.

    Raises:
        RunDirectoryError: if there is nothing to report, a file is damaged, or the report cannot
            be written.
    """
    contents = read_contents(directory)
    if isinstance(contents, ComparisonContents):
        pictures = _pictures(_comparison_figures(contents))
        page = comparison_page(contents, pictures)
    else:
        histories = [history(kind) for kind in contents.monitors]
        captions = {one.name: (one.alt, one.caption) for one in histories}
        pictures = _pictures(_run_figures(contents), captions)
        page = run_page(contents, pictures)
    try:
        (directory / FIGURES).mkdir(exist_ok=True)
        for picture in pictures.values():
            _replace(directory / FIGURES / f"{picture.name}.png", picture.png)
            _replace(directory / FIGURES / f"{picture.name}.svg", picture.svg)
        _replace(directory / REPORT, page.encode())
    except OSError as error:
        raise RunDirectoryError(
            f"the report belongs in the run directory, but {error.filename} cannot be written: "
            f"{error.strerror}; free some space or make {directory} writable"
        ) from error
    return directory / REPORT


def _comparison_figures(contents: ComparisonContents) -> dict[str, Figure | None]:
    comparison = contents.comparison
    taus = {name: values.get("taus", []) for name, values in comparison["networks"].items()}
    metrics = {name: run.metrics for name, run in contents.runs.items()}
    return {
        "solver": solver_figure(comparison),
        "matrix": matrix_figure(comparison),
        "cost": cost_figure(comparison),
        "step_sizes": step_sizes_figure(taus),
        "loss_and_error": loss_and_error_figure(metrics),
        "curves": curves_figure(metrics),
    }


def _run_figures(contents: RunContents) -> dict[str, Figure | None]:
    name = contents.config.get("name", contents.path.name)
    taus = (contents.results or {}).get("taus", [])
    return {
        "loss_and_error": loss_and_error_figure({name: contents.metrics}),
        "curves": curves_figure({name: contents.metrics}),
        "step_sizes": step_sizes_figure({name: taus}),
        **{
            instrument.key(): instrument.figure(contents.instruments[name])
            for name, instrument in run_instruments().items()
            if contents.instruments[name]
        },
        **{history(kind).name: draw(kind, records) for kind, records in contents.monitors.items()},
    }


def _pictures(
    figures: Mapping[str, Figure | None], captions: Mapping[str, tuple[str, str]] | None = None
) -> dict[str, Picture]:
    of_instruments = {one.key(): (one.alt, one.caption) for one in run_instruments().values()}
    known = {**_CAPTIONS, **of_instruments, **(captions or {})}
    return {
        name: picture_of(name, figure, *known[name])
        for name, figure in figures.items()
        if figure is not None
    }


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    replace(partial, path)
