"""Asynchronous leapfrog: a method for `h' = f(t, h)` that can be run backwards exactly."""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp

from odenet.arrays import Scalar, State, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.base import Field, Integration, Integrator, SolverStats, path_through
from odenet.integrators.equation import FIRST_ORDER, Equation
from odenet.integrators.remat import Remat, scan_depth
from odenet.integrators.reversible import scan_reversibly
from odenet.part import PartConfig

Pair = tuple[State, State]
"""A state and the slope that is carried beside it."""


@dataclasses.dataclass(frozen=True)
class AsynchronousLeapfrog(Integrator):
    r"""State $h$ and slope $v$, each moved past the other; of order 2 (Zhuang et al. 2021).

    From $v_0 = f(0, h_0)$, a step is $m = h_0 + \frac\tau2 v_0$,
    $u = f(t_0 + \frac\tau2, m)$, $v_1 = 2u - v_0$, $h_1 = m + \frac\tau2 v_1$ (MALI,
    arXiv:2102.04668, algo. 2). Its inverse is as cheap, so that a backward pass reconstructs the
    states from the last: exact gradients, to round-off, with memory that does not grow with depth.
    The slope is not damped: it oscillates about the field by what a step changes it.

    Args:
        remat: What is stored for the backward pass.
    """

    remat: Remat | Literal["reversible"] = "reversible"

    def integrate(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """Carry `h0` over the whole grid, with one evaluation per step and one for the slope."""
        assert grid.num_layers == fields.num_layers
        grid = DepthGrid(grid.taus.astype(h0.dtype), grid.num_layers)
        fields = fields.prepared(h0)

        def step(field, start, t0, tau):
            end = asynchronous_step(field, start, t0, tau)
            return end, end[0] if save_path else None

        first = jax.tree.map(lambda leaf: leaf[0], fields.params)
        start = (h0, fields.apply(first, jnp.zeros((), h0.dtype), h0))
        if self.remat == "reversible":
            (h1, _), states = scan_reversibly(step, _reverse, start, fields, grid)
        else:
            (h1, _), states = scan_depth(step, start, fields, grid, self.remat)
        path = path_through(h0, states) if save_path else None
        return Integration(h1, path, SolverStats.of(grid.num_steps + 1, grid.num_steps))


def asynchronous_step(field: Field, start: Pair, t0: Time, tau: Time) -> Pair:
    """One step from `start` at `t0` to `t0 + tau`."""
    h, v = start
    middle = h + tau / 2 * v
    v = 2 * field(t0 + tau / 2, middle) - v
    return middle + tau / 2 * v, v


def _reverse(
    field: Field, end: Pair, t0: Time, tau: Time, cotangent: Pair
) -> tuple[Pair, tuple[Field, Pair, Time, Time]]:
    """The start of the step that ended at `end`, and the cotangents of its arguments."""
    h1, v1 = end
    middle = h1 - tau / 2 * v1
    slope, pull = jax.vjp(lambda field, t, h: field(t, h), field, t0 + tau / 2, middle)
    v0 = 2 * slope - v1

    a_h, a_v1 = cotangent
    a_v1 = a_v1 + tau / 2 * a_h
    a_field, a_t, a_middle = pull(2 * a_v1)
    a_middle = a_middle + a_h
    a_tau = (_dot(a_h, v1) + _dot(a_middle, v0) + a_t) / 2
    start = (middle - tau / 2 * v0, v0)
    return start, (a_field, (a_middle, tau / 2 * a_middle - a_v1), a_t, a_tau)


def _dot(a: State, b: State) -> Scalar:
    return jnp.sum(a * b)


class AsynchronousLeapfrogConfig(PartConfig):
    """Asynchronous leapfrog, a reversible method of order 2 with the fixed steps of the grid."""

    kind: Literal["asynchronous_leapfrog"] = "asynchronous_leapfrog"
    remat: Remat | Literal["reversible"] = "reversible"
    """What is stored for the backward pass: `reversible` the last state, from which the others are
    reconstructed; `none` everything, `step` one state per step (layer of a residual network),
    `sqrt` about `2 sqrt(num_steps)` steps."""

    equation: ClassVar[Equation] = FIRST_ORDER

    @property
    def chooses_steps(self) -> bool:
        """Whether the integrator chooses its own steps: no, it takes those of the grid."""
        return False

    def build(self) -> AsynchronousLeapfrog:
        """Make the integrator."""
        return AsynchronousLeapfrog(self.remat)
