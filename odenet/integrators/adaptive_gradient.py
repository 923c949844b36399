"""The exact gradient of an adaptive solve: a backward pass through its steps, one at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from odenet.integrators.cotangents import add_cotangents
from odenet.ops.derivative_modes import without_forward_mode, without_reverse_mode

ELSEWHERE = "use integrator.kind=diffrax with adjoint.kind=direct"
NO_FORWARD_MODE = (
    "dopri5 and bosh3 have gradients, and no forward mode (jax.jvp, jax.jacfwd); use "
    f"jax.grad, jax.vjp or jax.jacrev, or {ELSEWHERE}"
)
NO_SECOND_REVERSE = (
    "a gradient by dopri5 or bosh3 cannot be differentiated in reverse mode again; take second "
    f"derivatives by forward over reverse mode, jax.jacfwd(jax.grad(f)), or {ELSEWHERE}"
)


def differentiable(method: Any, derivative: Callable) -> Callable:
    """`solve(arguments, parts, h0) -> (h1, between, stats)`, with a backward pass by steps.

    Args:
        method: The method; `search` finds the steps, `step` takes one, `stats` counts them.
        derivative: `derivative(arguments, piece, s, h)`; the last of `arguments` is the `Pieces`
            of the interval.
    """

    def search(arguments, parts, h0, keep):
        def at(piece, s, h):
            return derivative(arguments, piece, s, h)

        pieces = arguments[-1]
        found = method.search(at, pieces, h0, parts, keep)
        return (found.h, found.between, method.stats(found, pieces)), found

    @jax.custom_vjp
    def solve(arguments, parts, h0):
        return search(arguments, parts, h0, keep=False)[0]

    def forward(arguments, parts, h0):
        (*states, stats), found = search(arguments, parts, h0, keep=True)
        result = (*without_reverse_mode(states, NO_SECOND_REVERSE), stats)
        return result, (arguments, parts, found.steps, found.accepted)

    def backward(kept, cotangents):
        arguments, parts, steps, accepted = kept
        a_h1, a_between, _ = cotangents

        def step(arguments, parts, s, ds, h):
            piece = arguments[-1].index(s)

            def at(s, h):
                return derivative(arguments, piece, s, h)

            return method.step(at, s, ds, h, parts)

        def forwards(s, ds, h):
            return step(arguments, None, s, ds, h)[0]

        def back(s, ds, h, carry):
            a_given, a_end = carry

            def of(arguments, parts, h):
                return step(arguments, parts, s, ds, h)

            pull = jax.vjp(of, arguments, parts, h)[1]
            *more, a_start = pull((a_end, a_between))
            return add_cotangents(a_given, tuple(more)), a_start

        nothing = jax.tree.map(jnp.zeros_like, (arguments, parts))
        (a_arguments, a_parts), a_h0 = steps.backwards(accepted, forwards, back, (nothing, a_h1))
        return without_reverse_mode((a_arguments, a_parts, a_h0), NO_SECOND_REVERSE)

    solve.defvjp(forward, backward)
    return lambda *given: solve(*without_forward_mode(given, NO_FORWARD_MODE))
