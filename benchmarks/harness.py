"""Runs a benchmark and gives what goes into the JSON: plain dicts, lists, numbers and strings."""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.agreement import check_agreement
from benchmarks.declaration import Benchmark, Comparison, Ratio, Side, Survey
from benchmarks.process import Worker, settle
from benchmarks.spread import ratio_of_rounds, spread

Result = dict[str, Any]
Say = Callable[[str], None]


def run_benchmark(benchmark: Benchmark, *, quick: bool, say: Say = lambda text: None) -> Result:
    """Run one benchmark.

    Args:
        benchmark: What to run.
        quick: Whether to run it small and short, to see that it works.
        say: Told what is happening.

    Raises:
        Disagreement: if two sides do not compute the same.
        WorkerError: if a side breaks.
    """
    start = time.perf_counter()
    settings = dict(benchmark.settings) | (dict(benchmark.quick_settings) if quick else {})
    result: Result = {"name": benchmark.name, "about": benchmark.about, "kind": benchmark.kind}
    result["settings"] = settings
    if isinstance(benchmark, Survey):
        say(f"{benchmark.name}: measuring")
        result |= _survey(benchmark, settings)
    else:
        say(f"{benchmark.name}: outputs and gradients of both sides")
        result |= {"note": benchmark.note, "agreement": check_agreement(benchmark)}
        result |= _compare(benchmark, settings, quick, say)
    return result | {"wall_seconds": time.perf_counter() - start}


def _survey(benchmark: Survey, settings: dict[str, Any]) -> Result:
    with Worker(benchmark.name) as worker:
        tables = worker.survey(benchmark.module, settings)
    return {"tables": [dataclasses.asdict(table) for table in tables]}


def _compare(benchmark: Comparison, settings: dict[str, Any], quick: bool, say: Say) -> Result:
    timing = benchmark.quick if quick else benchmark.full
    if not timing.rounds:
        return _build_one_by_one(benchmark, settings, timing.warm_up, say)
    sides: dict[str, Result] = {}
    rounds: dict[str, list[float]] = {side.name: [] for side in benchmark.sides}
    with contextlib.ExitStack() as stack:
        workers = {
            side.name: stack.enter_context(Worker(f"{benchmark.name}: {side.name}"))
            for side in benchmark.sides
        }
        for side in benchmark.sides:
            say(f"{benchmark.name}: {side.name} builds")
            sides[side.name] = _start(workers[side.name], side, settings, timing.warm_up)
            settle()
        for number in range(timing.rounds):
            say(f"{benchmark.name}: round {number + 1} of {timing.rounds}")
            for name, worker in workers.items():
                seconds = worker.steps(timing.settle + timing.steps, reset=True)
                rounds[name].append(statistics.median(seconds[timing.settle :]))
                settle()
        for name, worker in workers.items():
            sides[name] |= {"seconds": spread(rounds[name]), "facts": worker.facts()}
    ratios = [form_ratio(ratio, sides, rounds, quick=quick) for ratio in benchmark.ratios]
    return {"sides": sides, "rounds": rounds, "ratios": ratios}


def _build_one_by_one(
    benchmark: Comparison, settings: dict[str, Any], warm_up: int, say: Say
) -> Result:
    """Facts of sides that are not timed: no two of their processes are alive at a time."""
    sides: dict[str, Result] = {}
    for side in benchmark.sides:
        say(f"{benchmark.name}: {side.name} builds")
        with Worker(f"{benchmark.name}: {side.name}") as worker:
            sides[side.name] = _start(worker, side, settings, warm_up)
            sides[side.name] |= {"seconds": None, "facts": worker.facts()}
    ratios = [form_ratio(ratio, sides, {}, quick=False) for ratio in benchmark.ratios]
    return {"sides": sides, "rounds": {side: [] for side in sides}, "ratios": ratios}


def _start(worker: Worker, side: Side, settings: dict[str, Any], warm_up: int) -> Result:
    """Build a side and take its first steps."""
    build_seconds = worker.build(side, settings)
    first_seconds = worker.steps(warm_up)[:1] if warm_up else []
    return {"build_seconds": build_seconds, "first_seconds": first_seconds}


def form_ratio(
    ratio: Ratio, sides: dict[str, Result], rounds: dict[str, list[float]], *, quick: bool
) -> Result:
    """The measured ratio beside its bar; `met` is None where nothing is judged."""
    if ratio.quantity == "seconds":
        measured = ratio_of_rounds(rounds[ratio.ours], rounds[ratio.peer])
    else:
        above, below = (sides[name]["facts"][ratio.quantity] for name in (ratio.ours, ratio.peer))
        measured = spread([above / below])
    met = None if ratio.bar is None or quick else measured["median"] <= ratio.bar
    return dataclasses.asdict(ratio) | {"measured": measured, "met": met}


def missed(results: list[Result]) -> list[Result]:
    """The ratios that are above their bar."""
    return [
        ratio for result in results for ratio in result.get("ratios", []) if ratio["met"] is False
    ]
