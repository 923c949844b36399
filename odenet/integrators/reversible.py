"""A scan over depth without stored states: the backward pass reconstructs them from the last."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.cotangents import add_cotangents, without_integers
from odenet.integrators.reconstruction import open_probe, relative_error
from odenet.integrators.remat import scan_depth


def scan_reversibly(
    step: Callable[..., tuple[Any, Any]],
    reverse: Callable[..., tuple[Any, tuple[Any, ...]]],
    start: Any,
    fields: LayerFields,
    grid: DepthGrid,
    extra: tuple[Any, ...] = (),
) -> tuple[Any, Any]:
    """`scan_depth` with a backward pass whose memory does not grow with depth.

    Args:
        step: `step(field, carry, t0, tau, *extra) -> (carry, out)`; `out` is None or `carry[0]`.
        reverse: `reverse(field, end, t0, tau, cotangent, *extra) -> (start, pulled)`: the carry
            before the step that ended at `end`, and the cotangents of
            `(field, start, t0, tau, *extra)`.
        start: Carry of the first step, a tuple of arrays.
        fields: The vector fields of all layers.
        grid: The steps.
        extra: Arrays with a leading axis `num_steps`; every step receives its row.
    """
    fields = fields.prepared(start[0])
    layers, steps = grid.num_layers, grid.steps_per_layer
    first = jax.tree.map(lambda leaf: leaf[0], fields.params)

    def known(params, initial_state, t, h):
        return fields.apply(params, *initial_state, t, h)

    # Variables of an outer differentiation captured by `apply` must be arguments of a custom rule.
    apply, found = jax.closure_convert(known, first, fields.initial_state, grid.taus[0], start[0])
    captured = (fields.initial_state, found)

    def call(params, captured, t, h):
        initial_state, found = captured
        return apply(params, initial_state, t, h, *found)

    def forward(params, captured, taus, extra, start, probe):
        del probe
        these = LayerFields(lambda params, t, h: call(params, captured, t, h), params, layers)
        return scan_depth(step, start, these, DepthGrid(taus, layers), "none", extra)

    def keep_the_end(params, captured, taus, extra, start, probe):
        end, out = forward(params, captured, taus, extra, start, probe)
        known = start[0] if probe else None
        return (end, out), (params, captured, taus, extra, end, known, probe)

    def backward(kept, cotangents):
        params, captured, taus, extra, end, known, probe = kept
        a_end, a_outs = cotangents

        def layer(carry, inputs):
            end, a_end, a_captured = carry
            params, *of_steps = inputs
            field = Partial(call, params, captured)
            zero = Partial(call, jax.tree.map(jnp.zeros_like, params), a_captured)
            one = functools.partial(_step_back, reverse, field)
            carry = (zero, end, a_end)
            carry, a_steps = jax.lax.scan(
                one, carry, tuple(of_steps), reverse=True, unroll=steps == 1
            )
            a_field, start, a_start = carry
            a_params, a_captured = a_field.args
            return (start, a_start, a_captured), (a_params, *a_steps)

        t0s, pull_t0s = jax.vjp(lambda taus: DepthGrid(taus, layers).times[:-1], taus)
        rows = [x.reshape(layers, steps, *x.shape[1:]) for x in (t0s, taus, *extra)]
        carry = (end, a_end, jax.tree.map(jnp.zeros_like, captured))
        inputs = (params, a_outs, *rows)
        carry, (a_params, *a_rows) = jax.lax.scan(layer, carry, inputs, reverse=True)
        found, a_start, a_captured = carry
        a_params = without_integers(a_params, params)
        a_captured = without_integers(a_captured, captured)
        a_t0s, a_taus, *a_extra = (
            a.reshape(x.shape) for a, x in zip(a_rows, (t0s, taus, *extra), strict=True)
        )
        (a_through_t0s,) = pull_t0s(a_t0s)
        errors = [relative_error(found[0], known, end[0]).astype(x.dtype) for x in probe]
        a_taus = a_taus + a_through_t0s
        return a_params, a_captured, a_taus, tuple(a_extra), a_start, tuple(errors)

    solve = jax.custom_vjp(forward)
    solve.defvjp(keep_the_end, backward)
    return solve(fields.params, captured, grid.taus, extra, start, open_probe())


def _step_back(
    reverse: Callable[..., tuple[Any, tuple[Any, ...]]], field: Any, carry: Any, inputs: Any
) -> tuple[Any, tuple[Any, ...]]:
    """One step of the backward pass, adding to the cotangent of the field shared by the steps."""
    a_field, end, a_end = carry
    a_out, t0, tau, *extra = inputs
    if a_out is not None:
        a_end = (a_end[0] + a_out, *a_end[1:])
    start, pulled = reverse(field, end, t0, tau, a_end, *extra)
    more, a_start, *a_each = pulled
    a_field = add_cotangents(a_field, more)
    return (a_field, start, a_start), tuple(a_each)
