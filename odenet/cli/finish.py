"""What a finished run or comparison shows: its report on disk, a table or JSON on the screen."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from odenet.cli.output import print_json
from odenet.experiment.directory import COMPARISON, read_json
from odenet.narration import doing, silence
from odenet.reports import (
    INSTRUMENTS,
    basis_table,
    comparison_tables,
    run_table,
    write_basis_figure,
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


def finish_instrument(name: str, directory: Path, found: dict[str, Any], json: bool) -> None:
    """Draw the report of a run with what an instrument found, and print its table and words."""
    report = _report(directory)
    if json:
        print_json(found | {"report": str(report)})
        return
    console = Console()
    instrument = INSTRUMENTS[name]
    console.print(instrument.table(found))
    for sentence in instrument.sentences(found):
        console.print(sentence, soft_wrap=True, highlight=False, markup=False)
    console.print(f"report: {report}", soft_wrap=True)


def _report(directory: Path) -> Path:
    """Write the report, after which nothing but results is shown."""
    with doing("writing the report"):
        report = write_report(directory)
    silence()
    return report


def finish_prune(found: dict[str, Any], json: bool) -> None:
    """Print which layers a pruned network has lost, and where it is."""
    silence()
    if json:
        print_json(found)
        return
    console = Console()
    table = Table("stage", "layer", "tau", "share", "", box=None, pad_edge=False)
    for stage in found["stages"]:
        if stage["kept_whole"]:
            table.add_row(str(stage["stage"]), "all", "", "", f"kept: {stage['kept_whole']}")
        for layer, (tau, share) in enumerate(zip(stage["taus"], stage["shares"], strict=True)):
            fate = "removed" if layer in stage["removed"] else "kept"
            table.add_row(str(stage["stage"]), str(layer), f"{tau:.4g}", f"{share:.2%}", fate)
    console.print(table)
    console.print(f"written to {found['directory']}", soft_wrap=True)


def finish_refine(found: dict[str, Any], json: bool) -> None:
    """Print how many layers and steps every stage has now, and where the network is."""
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


def finish_basis(directory: Path, found: dict[str, Any], json: bool) -> None:
    """Draw accuracy against functions of depth, and print both."""
    with doing("writing the figure"):
        figure = write_basis_figure(directory, found)
    silence()
    if json:
        print_json(found | {"figure": str(figure)})
        return
    console = Console()
    console.print(basis_table(found))
    console.print(f"figure: {figure}", soft_wrap=True)


def show_steps_to_reach(found: dict[str, Any], json: bool) -> None:
    """Print the steps that every run took to each accuracy, and the mean of every arm."""
    silence()
    if json:
        print_json(found)
        return
    targets = [f"to {accuracy:.4g}" for accuracy in found["accuracies"]]
    table = Table("run", "started from", "seed", *targets, "best", box=None, pad_edge=False)
    for run in found["runs"]:
        steps = ["never" if steps is None else str(steps) for steps in run["steps"]]
        row = run["directory"], run["started_from"], str(run["seed"]), *steps
        table.add_row(*row, f"{run['best']:.4g}")
    console = Console()
    console.print(table)
    for arm in found["arms"]:
        mean = "not all" if arm["mean_steps"] is None else f"{arm['mean_steps']:.1f} steps"
        console.print(
            f"{arm['experiment']} from {arm['started_from']}: {mean} to {arm['accuracy']:.4g} "
            f"(mean of {arm['num_runs']})",
            soft_wrap=True, highlight=False, markup=False,
        )  # fmt: skip


def show_evaluation(found: dict[str, Any], json: bool) -> None:
    """Print the metrics of an evaluation."""
    silence()
    if json:
        print_json(found)
        return
    table = Table(show_header=False, title=f"{found['directory']} on {found['split']}")
    for name, value in found.items():
        # Why and where a solve failed is None where none did.
        hidden = name in ("directory", "split") or value is None
        if not hidden and not (name == "solver_failure" and value == 0):
            table.add_row(name, f"{value:.6g}" if isinstance(value, float) else str(value))
    Console().print(table)
    failed = found.get("solver_failure")
    if failed:
        from odenet.integrators import Failure

        failure = Failure(int(failed))
        Console().print(f"a solve did not reach the end of its interval: {failure.reason}")
