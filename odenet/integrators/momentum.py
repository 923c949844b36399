"""Momentum residual networks: the field updates a velocity, and the velocity the state."""

import dataclasses
import math
from typing import Annotated, Literal

import jax.numpy as jnp
from pydantic import Field, model_validator

from odenet.integrators.equation import Equation, momentum
from odenet.integrators.stages import Stage, StagedConfig, StagedIntegrator


@dataclasses.dataclass(frozen=True)
class Momentum(StagedIntegrator):
    r"""$v_1 = \gamma^\tau v_0 + (1 - \gamma^\tau) f(t_0, h_0)$, $h_1 = h_0 + \tau v_1$, $v(0) = 0$.

    With $\tau = 1$ the momentum residual network of Sander et al. 2021, arXiv:2102.07870. It is a
    method of order 1 for $h' = v$, $\varepsilon v' = f(t, h) - v$ with
    $\varepsilon = -1 / \ln \gamma$, with a velocity that is exact for a constant `f`: the
    equation is determined by $\gamma$ alone, for any step sizes. With $\gamma = 0$ there is no
    velocity, and it is a residual network. Inverting a step divides by $\gamma^\tau$, and so
    multiplies round-off.

    Args:
        gamma: Fraction of a velocity that remains after depth-time 1, in [0, 1).
    """

    gamma: float = 0.9

    @property
    def name(self) -> str:
        """Its kind in experiment files."""
        return "momentum"

    @property
    def equation(self) -> Equation:
        """The equation with this `gamma`."""
        return momentum(self.gamma)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One stage, on state and velocity `(h, v)`."""
        gamma = self.gamma

        def kept_and_gained(tau):
            if gamma == 0:
                return jnp.zeros_like(tau), jnp.ones_like(tau)
            rate = math.log(gamma)
            return jnp.exp(rate * tau), -jnp.expm1(rate * tau)

        def move(carry, derivative, tau):
            h, v = carry
            kept, gained = kept_and_gained(tau)
            v1 = kept * v + gained * derivative
            return h + tau * v1, v1

        def invert(end, derivative, tau):
            h1, v1 = end
            kept, gained = kept_and_gained(tau)
            return h1 - tau * v1, (v1 - gained * derivative) / kept

        return (
            Stage(
                point=lambda carry, t0, tau: (t0, carry[0]),
                move=move,
                point_after=lambda end, t0, tau: (t0, end[0] - tau * end[1]),
                invert=invert,
            ),
        )


class MomentumConfig(StagedConfig):
    """Momentum residual network: `v <- gamma v + (1 - gamma) f(h)`, `h <- h + v` with `tau` 1."""

    kind: Literal["momentum"] = "momentum"
    gamma: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Fraction of a velocity that remains after depth-time 1; another gamma is another network."""

    @model_validator(mode="after")
    def _is_invertible(self):
        if not self.can_reconstruct and self.remat == "reversible":
            raise ValueError(
                "gamma=0 keeps no velocity, so that its steps cannot be inverted; use "
                "remat=none, step or sqrt, or kind=euler, which is the same network"
            )
        return self

    @property
    def can_reconstruct(self) -> bool:
        """Whether a step can be inverted: not if no velocity of the step before remains."""
        return self.gamma > 0

    def build(self) -> Momentum:
        """Make the integrator."""
        return Momentum(self.remat, self.gamma)
