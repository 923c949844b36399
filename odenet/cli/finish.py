"""Output of finished commands: the report on disk, a table or JSON on the screen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from odenet.cli.output import print_json
from odenet.experiment.directory import COMPARISON, read_json
from odenet.instruments.base import InstrumentConfig, RunInstrument, RunsInstrument
from odenet.instruments.every import Every
from odenet.instruments.table import find, question
from odenet.narration import doing, silence
from odenet.plotting.canvas import png
from odenet.reports import (
    FIGURES,
    comparison_tables,
    run_table,
    write_instruments_page,
    write_report,
)


def finish_run(directory: Path, results: dict[str, Any], json: bool) -> None:
    """Write the report of a run and print its results."""
    report = _report(directory)
    if json:
        print_json({"directory": str(directory), "report": str(report)} | results)
        return
    console = Console()
    console.print(run_table(results))
    console.print(f"report: {report}", soft_wrap=True)


def finish_comparison(directory: Path, json: bool) -> None:
    """Write the report of a comparison and print its tables and verdicts."""
    comparison = read_json(directory / COMPARISON)
    report = _report(directory)
    if json:
        print_json({"directory": str(directory), "report": str(report)} | comparison)
        return
    console = Console()
    for table in comparison_tables(comparison):
        console.print(table)
    console.print(f"report: {report}", soft_wrap=True)


def finish_instrument(
    instrument: RunInstrument, directory: Path, found: dict[str, Any], json: bool
) -> None:
    """Update the report of a run, and print the table and sentences of an instrument."""
    report = _report(directory)
    if json:
        figure = directory / FIGURES / f"{instrument.key()}.png"
        print_json(found | {"report": str(report)} | _figure_of(instrument, figure))
        return
    _show(instrument, found)
    Console().print(f"report: {report}", soft_wrap=True)


def finish_comparing_instrument(
    instrument: RunsInstrument, found: dict[str, Any], figure: Path | None, json: bool
) -> None:
    """Print table and sentences of an instrument on several runs; write `figure` if given."""
    image = None if figure is None else instrument.figure(found)
    if figure is not None and image is not None:
        figure.write_bytes(png(image))
    silence()
    if json:
        print_json(found)
        return
    _show(instrument, found)


def finish_instruments(directory: Path, every: Every, json: bool) -> None:
    """Write the page of all instruments of a run, and print the results of each."""
    report = _report(directory)
    page = write_instruments_page(directory, every)
    if json:
        print_json(
            {
                "directory": str(directory),
                "page": str(page),
                "report": str(report),
                "results": every.results,
                "not_applied": every.reasons,
            }
        )
        return
    console = Console()
    for name, found in every.results.items():
        console.print(f"\n[bold]{name}[/bold]: {question(name)}", highlight=False)
        _show(find(name), found)
    console.print()
    for name, reason in every.reasons.items():
        line = f"not measured: {name}: {reason}"
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    console.print(f"page: {page}", soft_wrap=True)


def _show(instrument: InstrumentConfig | type[InstrumentConfig], found: Mapping[str, Any]) -> None:
    console, table = Console(), instrument.table(found)
    if isinstance(table, str):
        print(table)  # without markup: stdout may be redirected to a file of results
    else:
        console.print(table)
    for sentence in instrument.sentences(found):
        console.print(sentence, soft_wrap=True, highlight=False, markup=False)


def _figure_of(instrument: RunInstrument, path: Path) -> dict[str, str]:
    return {"figure": str(path)} if instrument.has_figure else {}


def _report(directory: Path) -> Path:
    """Write the report, then silence progress: only results follow."""
    with doing("writing the report"):
        report = write_report(directory)
    silence()
    return report


def finish_prune(found: dict[str, Any], json: bool) -> None:
    """Print the removed layers of a pruned network, and its run directory."""
    silence()
    if json:
        print_json(found)
        return
    console = Console()
    table = Table("stage", "layer", "tau", "fraction", "", box=None, pad_edge=False)
    for stage in found["stages"]:
        if stage["kept_whole"]:
            table.add_row(str(stage["stage"]), "all", "", "", f"kept: {stage['kept_whole']}")
        for layer, (tau, fraction) in enumerate(
            zip(stage["taus"], stage["fractions"], strict=True)
        ):
            fate = "removed" if layer in stage["removed"] else "kept"
            table.add_row(str(stage["stage"]), str(layer), f"{tau:.4g}", f"{fraction:.2%}", fate)
    console.print(table)
    console.print(f"written to {found['directory']}", soft_wrap=True)


def finish_refine(found: dict[str, Any], json: bool) -> None:
    """Print the new numbers of layers and steps of every stage, and the run directory."""
    silence()
    if json:
        print_json(found)
        return
    console = Console()
    table = Table("stage", "layers", "steps", "functions", box=None, pad_edge=False)
    for index, stage in enumerate(found["stages"]):
        pairs = stage["num_layers"], stage["num_steps"], stage.get("num_basis", ("", ""))
        table.add_row(str(index), *(f"{old} -> {new}" if new else "" for old, new in pairs))
    console.print(table)
    console.print(f"written to {found['directory']}", soft_wrap=True)


def show_evaluation(found: dict[str, Any], json: bool) -> None:
    """Print the metrics of an evaluation."""
    silence()
    if json:
        print_json(found)
        return
    table = Table(show_header=False, title=f"{found['directory']} on {found['split']}")
    for name, value in found.items():
        # Reason and position of a failed solve are None if no solve failed.
        hidden = name in ("directory", "split") or value is None
        if not hidden and not (name == "solver_failure" and value == 0):
            table.add_row(name, f"{value:.6g}" if isinstance(value, float) else str(value))
    Console().print(table)
    failed = found.get("solver_failure")
    if failed:
        from odenet.integrators import Failure

        failure = Failure(int(failed))
        Console().print(f"a solve did not reach the end of its interval: {failure.reason}")
