"""Untimed work: sides of one module share a process, and all processes work at once."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from benchmarks.declaration import Comparison, Side
from benchmarks.process import Worker

Found = TypeVar("Found")
Each = Callable[[Callable[[Worker, Side], Found]], dict[str, Found]]
"""Calls a function for every side in its process; returns the results by the names of the sides."""


@contextlib.contextmanager
def side_by_side(benchmark: Comparison) -> Iterator[Each]:
    """Start one process per module, which imports once for all its sides; yields an `Each`."""
    groups: dict[tuple[str, bool], list[Side]] = {}
    for side in benchmark.sides:
        groups.setdefault((side.module, side.keeps_memory), []).append(side)
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(len(groups)))
        workers = [stack.enter_context(Worker(benchmark.name)) for _ in groups]

        def each(ask: Callable[[Worker, Side], Found]) -> dict[str, Found]:
            def serve(worker: Worker, sides: list[Side]) -> dict[str, Found]:
                return {side.name: ask(worker, side) for side in sides}

            found: dict[str, Found] = {}
            for answers in pool.map(serve, workers, groups.values()):
                found |= answers
            return {side.name: found[side.name] for side in benchmark.sides}

        yield each
