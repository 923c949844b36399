"""Kinetic energy of a solve; its minimisers are short paths of constant speed."""

import dataclasses
from typing import Literal

import jax.numpy as jnp

from odenet.arrays import Array, Float, State, Time
from odenet.integrators.base import Field
from odenet.objectives.regulariser import PathIntegralConfig


def squares(x: State) -> Float[Array, " batch"]:
    """The sum of the squares of every example."""
    return jnp.sum(jnp.square(x), axis=tuple(range(1, x.ndim)))


@dataclasses.dataclass(frozen=True)
class KineticEnergy:
    r"""$|f(t, h)|^2$, the sum over the components (Finlay et al. 2020, arXiv:2002.02798)."""

    def __call__(self, field: Field, t: Time, h: State, probe: State) -> Float[Array, " batch"]:
        """The integrand of every example."""
        del probe
        return squares(field(t, h))


class KineticEnergyConfig(PathIntegralConfig):
    """The integral of |f|^2 over depth-time, averaged over the examples."""

    kind: Literal["kinetic"] = "kinetic"

    @property
    def name(self) -> str:
        """Name of the integral in the metrics."""
        return "kinetic"

    def build(self) -> KineticEnergy:
        """Make the integrand."""
        return KineticEnergy()
