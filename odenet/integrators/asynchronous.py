"""Asynchronous leapfrog: an algebraically reversible method for `h' = f(t, h)`."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from odenet.arrays import State
from odenet.depth.weights import LayerFields
from odenet.integrators.stages import Carry, Stage, StagedConfig, StagedIntegrator
from odenet.integrators.state_types import time_type


@dataclasses.dataclass(frozen=True)
class AsynchronousLeapfrog(StagedIntegrator):
    r"""State $h$ and derivative $v$, updated in turn; of order 2 (Zhuang et al. 2021).

    From $v_0 = f(0, h_0)$, a step is $m = h_0 + \frac\tau2 v_0$,
    $u = f(t_0 + \frac\tau2, m)$, $v_1 = 2u - v_0$, $h_1 = m + \frac\tau2 v_1$ (MALI,
    arXiv:2102.04668, algo. 2). Its inverse has the same cost, so that a backward pass reconstructs
    the states from the last: exact gradients, to round-off, with memory that does not grow with
    depth. The derivative is not damped: it oscillates about the field with the size of the field's
    change in a step.
    """

    @property
    def name(self) -> str:
        """Its kind in experiment files."""
        return "asynchronous_leapfrog"

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One stage, on the state and its derivative."""
        return (_STAGE,)

    def start(self, fields: LayerFields, h0: State) -> Carry:
        """The initial state, and the field at this state."""
        first = jax.tree.map(lambda leaf: leaf[0], fields.params)
        return h0, fields.field(first)(jnp.zeros((), time_type(h0.dtype)), h0)

    def nfe(self, num_steps: int) -> int:
        """One evaluation per step, and one for the initial derivative."""
        return num_steps + 1


def _move(carry, derivative, tau):
    h, v = carry
    v1 = 2 * derivative - v
    return h + tau / 2 * (v + v1), v1


def _invert(end, derivative, tau):
    h1, v1 = end
    v = 2 * derivative - v1
    return h1 - tau / 2 * (v1 + v), v


_STAGE = Stage(
    point=lambda carry, t0, tau: (t0 + tau / 2, carry[0] + tau / 2 * carry[1]),
    move=_move,
    point_after=lambda end, t0, tau: (t0 + tau / 2, end[0] - tau / 2 * end[1]),
    invert=_invert,
)


class AsynchronousLeapfrogConfig(StagedConfig):
    """Asynchronous leapfrog, a reversible method of order 2 with the fixed steps of the grid."""

    kind: Literal["asynchronous_leapfrog"] = "asynchronous_leapfrog"

    def build(self) -> AsynchronousLeapfrog:
        """Make the integrator."""
        return AsynchronousLeapfrog(self.remat)
