"""The same equation from the horizon back to 0."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from odenet.arrays import State
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields


def reversed_in_time(fields: LayerFields, grid: DepthGrid) -> tuple[LayerFields, DepthGrid]:
    r"""Fields and grid of $dh/ds = -f(T - s, h)$, whose solutions are those of $h' = f$ backwards.

    Step sizes keep their signs, so that every integrator of first-order equations solves it.

    Args:
        fields: Of $f$; they do not depend on the state at the start.
        grid: The depth axis, of horizon $T$.
    """
    horizons = jnp.full((grid.num_layers,), grid.horizon)
    params = jax.tree.map(lambda leaf: leaf[::-1], fields.params)
    prepare = None if fields.prepare is None else _Prepared(fields.prepare)
    backward = LayerFields(
        _Reversed(fields.apply),
        (params, horizons),
        fields.num_layers,
        prepare,
        initial_state=fields.initial_state,
    )
    return backward, dataclasses.replace(grid, taus=grid.taus[::-1])


@dataclasses.dataclass(frozen=True)
class _Reversed:
    """A field with time and direction turned round; equal to another of the same field."""

    apply: Callable[..., Any]

    def __call__(self, params: Any, *at: Any) -> State:
        (own, horizon), (*initial_state, s, h) = params, at
        return -self.apply(own, *initial_state, horizon.astype(s.dtype) - s, h)


@dataclasses.dataclass(frozen=True)
class _Prepared:
    prepare: Callable[[Any, State], Any]

    def __call__(self, params: Any, h: State) -> Any:
        own, horizon = params
        return self.prepare(own, h), horizon
