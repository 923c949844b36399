"""Leapfrog for second-order equations: symplectic, and its own inverse under a change of sign."""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp

from odenet.arrays import Scalar, State, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.base import Field, Integration, Integrator, SolverStats, path_through
from odenet.integrators.equation import SECOND_ORDER, Equation
from odenet.integrators.remat import Remat, scan_depth
from odenet.integrators.reversible import scan_reversibly
from odenet.part import PartConfig

Pair = tuple[State, State]
"""Position `h` and velocity `v` at one depth-time."""


@dataclasses.dataclass(frozen=True)
class Leapfrog(Integrator):
    r"""Drift-kick-drift leapfrog for $h'' = f(t, h)$, $h'(0) = 0$, one step for every `tau`.

    $h_{1/2} = h_0 + \frac\tau2 v_0$, $v_1 = v_0 + \tau f(t_0 + \frac\tau2, h_{1/2})$,
    $h_1 = h_{1/2} + \frac\tau2 v_1$: one field evaluation per step, order 2 for any step sizes
    (the position form of Störmer and Verlet; Hairer, Lubich and Wanner 2006, sec. I.1.4). As a
    residual network: Haber and Ruthotto 2017, arXiv:1705.03341, sec. 4; as a reversible one: Chang
    et al. 2018, arXiv:1709.03698.

    Args:
        remat: `reversible` stores the last state alone, and computes the earlier ones from it on
            the way back: the memory of a gradient does not grow with depth, and its cost is that
            of `step`. In exact arithmetic the states, and so the gradient, are the same; in
            floating point the reconstruction carries round-off, which grows where the flow
            contracts or expands fast, as errors of a solve backwards in time do. It has no forward
            mode (`jax.jvp` is refused by JAX); for that, the others store states as they do for
            Euler.
    """

    remat: Remat | Literal["reversible"] = "reversible"

    @property
    def equation(self) -> Equation:
        """What is solved."""
        return SECOND_ORDER

    def integrate(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """Carry `h0`, at rest, over the whole grid; `path` holds the positions."""
        assert grid.num_layers == fields.num_layers
        grid = DepthGrid(grid.taus.astype(h0.dtype), grid.num_layers)

        def step(field, start, t0, tau):
            end = leapfrog(field, start, t0, tau)
            return end, end[0] if save_path else None

        start = (h0, jnp.zeros_like(h0))
        if self.remat == "reversible":
            (h1, _), states = scan_reversibly(step, _reverse, start, fields, grid)
        else:
            (h1, _), states = scan_depth(step, start, fields, grid, self.remat)
        path = path_through(h0, states) if save_path else None
        return Integration(h1, path, SolverStats.of(grid.num_steps, grid.num_steps))


def leapfrog(field: Field, start: Pair, t0: Time, tau: Time) -> Pair:
    """One step from `start` at `t0` to `t0 + tau`."""
    h, v = start
    h = h + tau / 2 * v
    v = v + tau * field(t0 + tau / 2, h)
    return h + tau / 2 * v, v


def _reverse(
    field: Field, end: Pair, t0: Time, tau: Time, cotangent: Pair
) -> tuple[Pair, tuple[Field, Pair, Time, Time]]:
    """The start of the step that ended at `end`, and the cotangents of its arguments.

    The same evaluation of the field serves the reconstruction and the gradient.
    """
    h1, v1 = end
    middle = h1 - tau / 2 * v1
    force, pull = jax.vjp(lambda field, t, h: field(t, h), field, t0 + tau / 2, middle)
    v0 = v1 - tau * force

    a_h, a_v1 = cotangent
    a_v = a_v1 + tau / 2 * a_h
    a_tau = _dot(a_h, v1) / 2 + _dot(a_v, force)
    a_field, a_t, a_middle = pull(tau * a_v)
    a_h = a_h + a_middle
    a_tau = a_tau + a_t / 2 + _dot(a_h, v0) / 2
    return (middle - tau / 2 * v0, v0), (a_field, (a_h, a_v + tau / 2 * a_h), a_t, a_tau)


def _dot(a: State, b: State) -> Scalar:
    return jnp.sum(a * b)


class LeapfrogConfig(PartConfig):
    """Leapfrog for the second-order equation `h'' = f(t, h)` that starts at rest."""

    kind: Literal["leapfrog"] = "leapfrog"
    remat: Remat | Literal["reversible"] = "reversible"
    """What is stored for the backward pass: `reversible` the last state, from which the others are
    reconstructed; `none` everything, `step` one state per step (layer of a residual network),
    `sqrt` about `2 sqrt(num_steps)` steps."""

    equation: ClassVar[Equation] = SECOND_ORDER

    @property
    def chooses_steps(self) -> bool:
        """Whether the integrator chooses its own steps: no, it takes those of the grid."""
        return False

    def build(self) -> Leapfrog:
        """Make the integrator."""
        return Leapfrog(self.remat)
