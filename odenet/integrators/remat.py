"""The scan over depth, and its storage for the backward pass."""

import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields

Remat = Literal["none", "step", "sqrt"]
"""`none` keeps all intermediate values of a step; `step` one state per step, and recomputes each
step from it; `sqrt` one state per segment of about `sqrt(num_steps)` steps, and recomputes one
segment at a time (Chen et al. 2016, arXiv:1604.06174). In a residual network a step is a layer."""


def scan_depth(
    step: Callable[..., tuple[Any, Any]],
    start: Any,
    fields: LayerFields,
    grid: DepthGrid,
    remat: Remat,
    extra: tuple[Any, ...] = (),
) -> tuple[Any, Any]:
    """Scan `step` over the layers, and over the steps inside each layer.

    Args:
        step: `step(field, carry, t0, tau, *extra) -> (carry, out)`, `field` a pytree with the
            layer's parameters as leaves.
        start: Carry of the first step.
        fields: The vector fields of all layers.
        grid: The steps.
        remat: Storage for the backward pass; it does not change the numbers.
        extra: Arrays with a leading axis `num_steps`; every step receives its row.

    Returns:
        The carry after the last step, and the outputs, with leading axes
        `(num_layers, steps_per_layer)`.
    """
    fields = fields.prepared(jax.tree.leaves(start)[0])
    layers, steps = grid.num_layers, grid.steps_per_layer
    of_each = tuple(
        array.reshape(layers, steps, *array.shape[1:])
        for array in (grid.times[:-1], grid.taus, *extra)
    )
    one = jax.checkpoint(step) if remat == "step" else step
    of_layers, of_steps = segments(layers, steps) if remat == "sqrt" else (None, None)

    def layer(carry, inputs):
        params, *rows = inputs
        field = fields.field(params)
        if steps == 1:
            carry, out = one(field, carry, *(row[0] for row in rows))
            return carry, jax.tree.map(lambda leaf: leaf[None], out)
        return _scan(lambda carry, x: one(field, carry, *x), carry, tuple(rows), steps, of_steps)

    return _scan(layer, start, (fields.params, *of_each), layers, of_layers)


def segments(layers: int, steps: int) -> tuple[int | None, int | None]:
    """Lengths of the recomputed segments: of layers, or of the steps of a layer; one is None.

    A segment of `g` layers keeps `layers / g` states and recomputes `g * steps`; one of `m` steps
    keeps `layers * steps / m` and recomputes `m`. Both sums are minimal, and equal to
    `2 sqrt(layers * steps)`, where their two terms are equal.
    """
    if steps <= layers:
        return _near(math.sqrt(layers / steps), layers), None
    return None, _near(math.sqrt(layers * steps), steps)


def _near(target: float, length: int) -> int:
    """The divisor of `length` nearest to `target`, or `target` if none is within a factor 3/2."""
    near = range(math.ceil(target * 2 / 3), min(length, math.floor(target * 3 / 2)) + 1)
    return min(near, key=lambda m: (length % m > 0, abs(m - target)))


def _scan(body: Any, carry: Any, xs: Any, length: int, segment: int | None) -> tuple[Any, Any]:
    """`jax.lax.scan`, in recomputed segments; the remainder forms a shorter last segment."""

    def scan(carry, xs):
        return jax.lax.scan(body, carry, xs)

    if length == 1:  # a loop would copy the stored values into stacks and out of them
        carry, out = body(carry, jax.tree.map(lambda x: x[0], xs))
        return carry, jax.tree.map(lambda y: y[None], out)
    if segment is None:
        return scan(carry, xs)
    count, rest = divmod(length, segment)
    whole = count * segment
    again = jax.checkpoint(scan)
    carry, out = jax.lax.scan(
        again,
        carry,
        jax.tree.map(lambda x: x[:whole].reshape(count, segment, *x.shape[1:]), xs),
    )
    out = jax.tree.map(lambda y: y.reshape(whole, *y.shape[2:]), out)
    if rest:
        carry, last = again(carry, jax.tree.map(lambda x: x[whole:], xs))
        out = jax.tree.map(lambda y, z: jnp.concatenate([y, z]), out, last)
    return carry, out
