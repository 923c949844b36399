"""Time of a call, for surveys in one process."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax


def seconds_per_call(call: Callable[[], Any], repeats: int) -> float:
    """Median seconds of `repeats` calls with their results, after two untimed calls."""
    seconds = []
    for number in range(repeats + 2):
        start = time.perf_counter()
        jax.block_until_ready(call())
        if number >= 2:
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
