"""Functions in compiled loops, timed in turns within one process."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def looped(function: Callable[..., Any], operands: tuple[jax.Array, ...], loops: int) -> Any:
    """A compiled call of `loops` evaluations, each of which depends on the previous one.

    Args:
        function: Function of the operands; returns an array or a tree of arrays.
        operands: Arrays; the last is changed a little from one evaluation to the next.
        loops: Number of evaluations.
    """

    def run(*operands):
        *others, last = operands

        def body(_, factor):
            # All numbers of the results are used; otherwise the compiler would drop some.
            results = jax.tree.leaves(function(*others, last * factor))
            return 1 + 1e-9 * sum(jnp.mean(result) for result in results)

        return lax.fori_loop(0, loops, body, jnp.ones((), last.dtype))

    compiled = jax.jit(run).lower(*operands).compile()
    return lambda: compiled(*operands)


def in_turns(calls: list[Callable[[], Any]], repeats: int) -> list[float]:
    """Median seconds of every call, timed in turns, after one untimed call of each."""
    seconds: list[list[float]] = [[] for _ in calls]
    for number in range(repeats + 1):
        for call, found in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(call())
            if number:
                found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in seconds]
