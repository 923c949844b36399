"""Run of a benchmark; its results are plain dicts, lists, numbers and strings for JSON."""

import contextlib
import dataclasses
import functools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.agreement import check_agreement
from benchmarks.declaration import Benchmark, Comparison, Ratio, Settings, Side, Survey, Timing
from benchmarks.process import Worker, settle
from benchmarks.side_by_side import Each, side_by_side
from benchmarks.spread import ratio_of_rounds, spread

Result = dict[str, Any]
Rounds = dict[str, list[float]]
"""Seconds per step in every round, by side."""
Say = Callable[[str], None]


def run_benchmarks(benchmarks: list[Benchmark], *, quick: bool, say: Say) -> Iterator[Result]:
    """Run benchmarks and yield their results, in their order; see `run_benchmark`.

    A full run runs one benchmark at a time. A quick run, whose times are not judged, runs as many
    at once as there are cores.
    """
    run = functools.partial(run_benchmark, quick=quick, say=say)
    if not quick:
        yield from map(run, benchmarks)
        return
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield from pool.map(run, benchmarks)
    finally:
        pool.shutdown(cancel_futures=True)


def run_benchmark(benchmark: Benchmark, *, quick: bool, say: Say = lambda text: None) -> Result:
    """Run one benchmark.

    Args:
        benchmark: The benchmark.
        quick: Whether to run it with small sizes and few steps, as a check.
        say: Receives messages about the progress.

    Raises:
        Disagreement: if two sides compute different results.
        WorkerError: if a side fails.
    """
    start = time.perf_counter()
    settings = dict(benchmark.settings) | (dict(benchmark.quick_settings) if quick else {})
    result: Result = {"name": benchmark.name, "about": benchmark.about, "kind": benchmark.kind}
    result["settings"] = settings
    if isinstance(benchmark, Survey):
        say(f"{benchmark.name}: measuring")
        result |= _survey(benchmark, settings)
    else:
        result |= {"note": benchmark.note} | _compare(benchmark, settings, quick, say)
    return result | {"wall_seconds": time.perf_counter() - start}


def _survey(benchmark: Survey, settings: Settings) -> Result:
    with Worker(benchmark.name) as worker:
        tables = worker.survey(benchmark.module, settings)
    return {"tables": [dataclasses.asdict(table) for table in tables]}


def _compare(benchmark: Comparison, settings: Settings, quick: bool, say: Say) -> Result:
    timing = benchmark.quick if quick else benchmark.full
    untimed = quick or not timing.rounds
    with side_by_side(benchmark) as each:
        say(f"{benchmark.name}: outputs and gradients of all sides")
        agreement = check_agreement(benchmark, each)
        if untimed:
            say(f"{benchmark.name}: all sides at once")
            sides, rounds = _at_once(each, settings, timing)
    if not untimed:
        sides, rounds = _in_turns(benchmark, settings, timing, say)
    ratios = [form_ratio(ratio, sides, rounds, quick=quick) for ratio in benchmark.ratios]
    return {"agreement": agreement, "sides": sides, "rounds": rounds, "ratios": ratios}


def _in_turns(
    benchmark: Comparison, settings: Settings, timing: Timing, say: Say
) -> tuple[dict[str, Result], Rounds]:
    """Time the sides in turns, each in its own process; one side works at a time."""
    sides: dict[str, Result] = {}
    rounds: Rounds = {side.name: [] for side in benchmark.sides}
    with contextlib.ExitStack() as stack:
        workers = {
            side.name: stack.enter_context(Worker(benchmark.name)) for side in benchmark.sides
        }
        for side in benchmark.sides:
            say(f"{benchmark.name}: {side.name} builds")
            sides[side.name] = _start(workers[side.name], side, settings, timing.warm_up)
            settle()
        for number in range(timing.rounds):
            say(f"{benchmark.name}: round {number + 1} of {timing.rounds}")
            for name, worker in workers.items():
                rounds[name].append(_turn(worker, timing))
                settle()
        for name, worker in workers.items():
            sides[name] |= {"seconds": spread(rounds[name]), "facts": worker.facts()}
    return sides, rounds


def _at_once(each: Each, settings: Settings, timing: Timing) -> tuple[dict[str, Result], Rounds]:
    """Run all sides at once; their times are not judged."""

    def once(worker: Worker, side: Side) -> tuple[Result, list[float]]:
        told = _start(worker, side, settings, timing.warm_up)
        seconds = [_turn(worker, timing) for _ in range(timing.rounds)]
        told |= {"seconds": spread(seconds) if seconds else None, "facts": worker.facts()}
        return told, seconds

    found = each(once)
    return (
        {name: told for name, (told, _) in found.items()},
        {name: seconds for name, (_, seconds) in found.items()},
    )


def _turn(worker: Worker, timing: Timing) -> float:
    seconds = worker.steps(timing.settle + timing.steps, reset=True)
    return statistics.median(seconds[timing.settle :])


def _start(worker: Worker, side: Side, settings: Settings, warm_up: int) -> Result:
    """Build a side and take its first steps."""
    build_seconds = worker.build(side, settings)
    first_seconds = worker.steps(warm_up)[:1] if warm_up else []
    return {"build_seconds": build_seconds, "first_seconds": first_seconds}


def form_ratio(ratio: Ratio, sides: dict[str, Result], rounds: Rounds, *, quick: bool) -> Result:
    """The measured ratio with its bar; `met` is None without a bar or in a quick run."""
    if ratio.quantity == "seconds":
        measured = ratio_of_rounds(rounds[ratio.ours], rounds[ratio.peer])
    else:
        above, below = (sides[name]["facts"][ratio.quantity] for name in (ratio.ours, ratio.peer))
        measured = spread([above / below])
    met = None if ratio.bar is None or quick else measured["median"] <= ratio.bar
    return dataclasses.asdict(ratio) | {"measured": measured, "met": met}


def missed(results: list[Result]) -> list[Result]:
    """The ratios above their bars."""
    return [
        ratio for result in results for ratio in result.get("ratios", []) if ratio["met"] is False
    ]
