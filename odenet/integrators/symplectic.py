"""Leapfrog for second-order equations: symplectic, and algebraically reversible."""

import dataclasses
from typing import Literal

from odenet.integrators.equation import SECOND_ORDER, Equation
from odenet.integrators.stages import Stage, StagedConfig, StagedIntegrator

LeapfrogForm = Literal["drift_kick_drift", "kick_drift"]


@dataclasses.dataclass(frozen=True)
class Leapfrog(StagedIntegrator):
    r"""Leapfrog for $h'' = f(t, h)$, $h'(0) = 0$, one step and one evaluation for every `tau`.

    * `drift_kick_drift`: $h_{1/2} = h_0 + \frac\tau2 v_0$,
      $v_1 = v_0 + \tau f(t_0 + \frac\tau2, h_{1/2})$, $h_1 = h_{1/2} + \frac\tau2 v_1$: order 2 for
      any step sizes (the position form of Störmer and Verlet; Hairer, Lubich and Wanner 2006, sec.
      I.1.4).
    * `kick_drift`: $v_1 = v_0 + \tau f(t_0, h_0)$, $h_1 = h_0 + \tau v_1$, which for equal steps is
      the two-step recursion $h_{j+1} = 2 h_j - h_{j-1} + \tau^2 f(t_j, h_j)$, $h_{-1} = h_0$, of
      Haber and Ruthotto 2017, arXiv:1705.03341, sec. 4, and, as a reversible network, Chang et al.
      2018, arXiv:1709.03698. This start is at rest half a step early, so its order is 1.

    Args:
        form: `drift_kick_drift` or `kick_drift`.
    """

    form: LeapfrogForm = "drift_kick_drift"

    @property
    def name(self) -> str:
        """Its kind in experiment files."""
        return "leapfrog"

    @property
    def equation(self) -> Equation:
        """The second-order equation."""
        return SECOND_ORDER

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One stage, on position and velocity `(h, v)`."""
        return (_KICK_DRIFT if self.form == "kick_drift" else _DRIFT_KICK_DRIFT,)


def _kick_between_drifts(carry, force, tau):
    h, v = carry
    v1 = v + tau * force
    return h + tau / 2 * (v + v1), v1


def _invert_kick_between_drifts(end, force, tau):
    h1, v1 = end
    v = v1 - tau * force
    return h1 - tau / 2 * (v1 + v), v


_DRIFT_KICK_DRIFT = Stage(
    point=lambda carry, t0, tau: (t0 + tau / 2, carry[0] + tau / 2 * carry[1]),
    move=_kick_between_drifts,
    point_after=lambda end, t0, tau: (t0 + tau / 2, end[0] - tau / 2 * end[1]),
    invert=_invert_kick_between_drifts,
)


def _kick_then_drift(carry, force, tau):
    h, v = carry
    v1 = v + tau * force
    return h + tau * v1, v1


_KICK_DRIFT = Stage(
    point=lambda carry, t0, tau: (t0, carry[0]),
    move=_kick_then_drift,
    point_after=lambda end, t0, tau: (t0, end[0] - tau * end[1]),
    invert=lambda end, force, tau: (end[0] - tau * end[1], end[1] - tau * force),
)


class LeapfrogConfig(StagedConfig):
    """Leapfrog for the second-order equation `h'' = f(t, h)`, initially at rest."""

    kind: Literal["leapfrog"] = "leapfrog"
    form: LeapfrogForm = "drift_kick_drift"
    """`drift_kick_drift` has order 2; `kick_drift` is the published recursion
    `h[j+1] = 2 h[j] - h[j-1] + tau^2 f(h[j])` with `h[-1] = h[0]`, of order 1."""

    def build(self) -> Leapfrog:
        """Make the integrator."""
        return Leapfrog(self.remat, self.form)
