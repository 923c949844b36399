"""The two-step midpoint method: every step starts from the state before the last one."""

import dataclasses
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from odenet.depth.grid import DepthGrid
from odenet.integrators.stages import Stage, StagedConfig, StagedIntegrator


@dataclasses.dataclass(frozen=True)
class TwoStepMidpoint(StagedIntegrator):
    r"""$h_{j+1} = h_{j-1} + 2 \tau f(t_j, h_j)$, started with one step of explicit Euler.

    Of order 2 with one evaluation per step; as a reversible network: Chang et al. 2018,
    arXiv:1709.03698. With unequal steps, $r = \tau_{j+1} / \tau_j$, the step follows the parabola
    through $h_{j-1}$ and $h_j$ with derivative $f$ at $t_j$:
    $h_{j+1} = (1 - r^2) h_j + r^2 h_{j-1} + (1 + r) \tau_{j+1} f(t_j, h_j)$, again of order 2. The
    method neither damps nor amplifies oscillations, and gives decaying modes growing oscillations:
    it is suited to fields whose eigenvalues have no real part.

    Its second variable is the mean derivative of the last step, $s_j = (h_j - h_{j-1}) / \tau_j$:
    $s_{j+1} = f + r (f - s_j)$, $h_{j+1} = h_j + \tau_{j+1} s_{j+1}$; Euler's first step is the
    case $r = 0$. A step of size zero, which has no mean derivative, is skipped: the state and the
    mean derivative before it are kept, the next step takes its ratio to the last step of nonzero
    size, and the derivative with respect to that `tau` is $f(t_j, h_j)$. The method is not
    continuous there: for a short but nonzero step, $r$ is large.
    """

    zero_step_is_identity: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Its kind in experiment files."""
        return "two_step_midpoint"

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One stage, on the state and the mean derivative of the step before."""
        return (_STAGE,)

    def extra(self, grid: DepthGrid) -> tuple[Any, ...]:
        """For every step, its ratio to the last step of nonzero size, and the inverse ratio.

        Both are zero for the first step of nonzero size, and for steps of size zero.
        """
        taus = grid.taus
        index = jnp.arange(len(taus), dtype=jnp.int32)
        moved = jax.lax.cummax(jnp.where(taus == 0, -1, index))
        last = jnp.concatenate([jnp.full(1, -1, jnp.int32), moved[:-1]])
        starts = (last < 0) | (taus == 0)
        taus, before = (jnp.where(starts, 1, x) for x in (taus, taus[last]))
        zero = jnp.zeros_like(taus)
        return jnp.where(starts, zero, taus / before), jnp.where(starts, zero, before / taus)


def _move(carry, derivative, tau, ratio, inverse):
    del inverse
    h, s = carry
    s1 = derivative + ratio * (derivative - s)
    return h + tau * s1, jnp.where(tau == 0, s, s1)


def _invert(end, derivative, tau, ratio, inverse):
    del ratio
    h1, s1 = end
    stands = tau == 0
    s = derivative - (s1 - derivative) * inverse
    return h1 - tau * jnp.where(stands, derivative, s1), jnp.where(stands, s1, s)


_STAGE = Stage(
    point=lambda carry, t0, tau: (t0, carry[0]),
    move=_move,
    point_after=lambda end, t0, tau: (t0, end[0] - tau * end[1]),
    invert=_invert,
)


class TwoStepMidpointConfig(StagedConfig):
    """`h[j+1] = h[j-1] + 2 tau f(h[j])`, for unequal steps too."""

    kind: Literal["two_step_midpoint"] = "two_step_midpoint"

    def build(self) -> TwoStepMidpoint:
        """Make the integrator."""
        return TwoStepMidpoint(self.remat)
