"""The two-step midpoint method: every step jumps over the one before it."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp

from odenet.depth.grid import DepthGrid
from odenet.integrators.stages import Stage, StagedConfig, StagedIntegrator


@dataclasses.dataclass(frozen=True)
class TwoStepMidpoint(StagedIntegrator):
    r"""$h_{j+1} = h_{j-1} + 2 \tau f(t_j, h_j)$, started with one step of explicit Euler.

    Of order 2 with one evaluation for a step; as a reversible network: Chang et al. 2018,
    arXiv:1709.03698. With unequal steps, $r = \tau_{j+1} / \tau_j$, the parabola through
    $h_{j-1}$ and $h_j$ with slope $f$ at $t_j$ is followed:
    $h_{j+1} = (1 - r^2) h_j + r^2 h_{j-1} + (1 + r) \tau_{j+1} f(t_j, h_j)$, again of order 2. The
    method neither damps nor amplifies oscillations, and lets what decays oscillate more and more:
    it fits fields without real parts in their spectrum.

    It is carried by the mean slope of the last step, $s_j = (h_j - h_{j-1}) / \tau_j$:
    $s_{j+1} = f + r (f - s_j)$, $h_{j+1} = h_j + \tau_{j+1} s_{j+1}$; Euler's first step is the
    case $r = 0$. After a step of size zero, which has no slope, it starts anew with Euler; that
    cannot be undone, and makes a reversible gradient not finite.
    """

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One stage, on the state and the mean slope of the step before."""
        return (_STAGE,)

    def extra(self, grid: DepthGrid) -> tuple[Any, ...]:
        """Of every step, its ratio to the one before, zero for the first, and the inverse ratio."""
        taus, before = grid.taus[1:], grid.taus[:-1]
        stands = before == 0
        ratios = jnp.where(stands, 0, taus / jnp.where(stands, 1, before))
        inverse = jax.lax.stop_gradient(before / taus)
        first = jnp.zeros_like(grid.taus[:1])
        return tuple(jnp.concatenate([first, each]) for each in (ratios, inverse))


def _move(carry, slope, tau, ratio, inverse):
    del inverse
    h, s = carry
    s1 = slope + ratio * (slope - s)
    return h + tau * s1, s1


def _undo(end, slope, tau, ratio, inverse):
    del ratio
    h1, s1 = end
    return h1 - tau * s1, slope - (s1 - slope) * inverse


_STAGE = Stage(
    point=lambda carry, t0, tau: (t0, carry[0]),
    move=_move,
    point_after=lambda end, t0, tau: (t0, end[0] - tau * end[1]),
    undo=_undo,
)


class TwoStepMidpointConfig(StagedConfig):
    """`h[j+1] = h[j-1] + 2 tau f(h[j])`, for unequal steps too."""

    kind: Literal["two_step_midpoint"] = "two_step_midpoint"

    def build(self) -> TwoStepMidpoint:
        """Make the integrator."""
        return TwoStepMidpoint(self.remat)
