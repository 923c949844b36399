"""The exact gradient of a solve that chose its steps: back through them, one at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from odenet.integrators.cotangents import add_cotangents


def differentiable(method: Any, slope: Callable) -> Callable:
    """`solve(arguments, parts, h0) -> (h1, between, stats)`, differentiated backwards by steps.

    Args:
        method: Its `search` finds the steps, its `step` takes one, its `stats` counts them.
        slope: `slope(arguments, s, h)`.
    """

    def search(arguments, parts, h0, keep):
        def at(s, h):
            return slope(arguments, s, h)

        start = (h0, at(jnp.zeros((), h0.dtype), h0))
        found = method.search(at, start, parts, keep)
        return (found.start[0], found.between, method.stats(found)), found

    @jax.custom_vjp
    def solve(arguments, parts, h0):
        return search(arguments, parts, h0, keep=False)[0]

    def forward(arguments, parts, h0):
        result, found = search(arguments, parts, h0, keep=True)
        return result, (arguments, parts, h0, found.steps, found.accepted)

    def backward(kept, cotangents):
        arguments, parts, h0, steps, accepted = kept
        a_h1, a_between, _ = cotangents

        def back(carry):
            index, a_given, a_end = carry
            start, s, ds = jax.tree.map(lambda x: x[index], steps)

            def step(arguments, parts, start):
                def at(s, h):
                    return slope(arguments, s, h)

                end, _, dense = method.step(at, start, s, ds, parts)
                return end, dense

            *more, a_start = jax.vjp(step, arguments, parts, start)[1]((a_end, a_between))
            return index - 1, add_cotangents(a_given, tuple(more)), a_start

        nothing = jax.tree.map(jnp.zeros_like, (arguments, parts))
        _, (a_arguments, a_parts), (a_h0, a_slope) = jax.lax.while_loop(
            lambda carry: carry[0] >= 0,
            back,
            (accepted - 1, nothing, (a_h1, jnp.zeros_like(a_h1))),
        )
        zero = jnp.zeros((), h0.dtype)
        _, pull = jax.vjp(lambda arguments, h: slope(arguments, zero, h), arguments, h0)
        more, through_slope = pull(a_slope)
        return add_cotangents(a_arguments, more), a_parts, a_h0 + through_slope

    solve.defvjp(forward, backward)
    return solve
