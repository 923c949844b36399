"""The solvers of diffrax by name."""

from typing import Literal

import diffrax
import jax.numpy as jnp

SolverName = Literal["euler", "midpoint", "heun", "ralston", "bosh3", "tsit5", "dopri5", "dopri8"]


class FirstStageAtStart:
    """A method whose last stage is the first of the next step, with its very first stage done once.

    diffrax alone would evaluate that stage again at every step rejected before one is accepted.
    """

    def init(self, terms, t0, t1, y0, args):
        """The state of the solver before the first step: no jump yet, and the first stage."""
        del t1
        return jnp.zeros((), bool), self.func(terms, t0, y0, args)  # pyright: ignore


class _Bosh3(FirstStageAtStart, diffrax.Bosh3): ...


class _Tsit5(FirstStageAtStart, diffrax.Tsit5): ...


class _Dopri5(FirstStageAtStart, diffrax.Dopri5): ...


class _Dopri8(FirstStageAtStart, diffrax.Dopri8): ...


SOLVERS = {
    "euler": diffrax.Euler,
    "midpoint": diffrax.Midpoint,
    "heun": diffrax.Heun,
    "ralston": diffrax.Ralston,
    "bosh3": _Bosh3,
    "tsit5": _Tsit5,
    "dopri5": _Dopri5,
    "dopri8": _Dopri8,
}
