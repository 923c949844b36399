"""Time reversal: the same equation from the horizon back to 0."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from odenet.arrays import State
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields


def reversed_in_time(fields: LayerFields, grid: DepthGrid) -> tuple[LayerFields, DepthGrid]:
    r"""Fields and grid of the time-reversed equation $dh/ds = -f(T - s, h)$ of $h' = f(t, h)$.

    Step sizes keep their signs, so every integrator of first-order equations applies.

    Args:
        fields: The fields $f$; they must not depend on the initial state.
        grid: The depth axis, with horizon $T$.
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
    """The time-reversed field; two of the same field compare equal."""

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
