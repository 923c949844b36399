"""Integrators that depend on the present state alone, and their scan over layers."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import jax

from odenet.arrays import State, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.base import Advance, Field, Integration, Integrator, StepMap
from odenet.integrators.path import path_through, without_unreached
from odenet.integrators.remat import Remat, scan_depth


class OneStepIntegrator(Integrator):
    """An integrator that depends on the present state alone: `advance` over one interval.

    All share this scan over layers, so that an explicit Euler step *is* a residual layer, and a
    diffrax solve of the same interval *is* its continuous counterpart.
    """

    zero_step_is_identity: ClassVar[bool] = True

    remat: Remat = "none"

    @abc.abstractmethod
    def advance(self, field: Field, t0: Time, tau: Time, h0: State) -> Advance:
        """Advance `h0` from depth-time `t0` to `t0 + tau`.

        The interval is given by its length, not by its end: `tau` is a parameter, and times are
        sums of it with rounding errors.

        Args:
            field: `field(t, h) -> dh/dt`, a pytree whose leaves are its parameters.
            t0: Start of the interval, scalar.
            tau: Length of the interval, scalar of any sign.
            h0: State at `t0`, shape `(batch, *state)`.
        """

    def step_map(self) -> StepMap | None:
        """`advance` without its statistics."""
        return lambda field, t0, tau, h0: self.advance(field, t0, tau, h0).h1

    def intervals(self, grid: DepthGrid) -> DepthGrid:
        """The intervals of `advance`: the steps of the grid."""
        return grid

    def over_grid(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """Scan `advance` over the layers, and over the steps inside each layer."""
        grid = self.intervals(grid)
        assert not fields.uses_batch_statistics or self.carries_statistics

        def step(field, h, t0, tau):
            field, batch_statistics = (
                _recorded(field) if fields.uses_batch_statistics else (field, None)
            )
            out = self.advance(field, t0, tau, h)
            statistics = _mean(batch_statistics) if batch_statistics else None
            return out.h1, (out.stats, out.h1 if save_path else None, statistics)

        h1, (stats, states, each) = scan_depth(step, h0, fields, grid, self.remat)
        if save_path and self.may_fail:
            states = without_unreached(states, stats.failure)
        path = path_through(h0, states) if save_path else None
        statistics = fields.collect(each) if fields.uses_batch_statistics else None
        return Integration(h1, path, stats.total(), statistics)


def _recorded(field: Callable[[Time, State], tuple[State, Any]]) -> tuple[Field, list[Any]]:
    """The field without its statistics, and the list that collects them at each evaluation."""
    batch_statistics: list[Any] = []

    def evaluate(t: Time, h: State) -> State:
        derivative, statistics = field(t, h)
        batch_statistics.append(statistics)
        return derivative

    return evaluate, batch_statistics


def _mean(batch_statistics: list[Any]) -> Any:
    """The mean of the statistics of all stages of a step."""
    return jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]) / len(leaves), *batch_statistics)
