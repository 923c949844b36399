"""What integrators solve: those of one equation can be exchanged, with the same weights."""

from typing import Literal, NamedTuple

from odenet.errors import ConfigError

Equation = Literal["first_order", "second_order"]


class EquationName(NamedTuple):
    """How messages speak of an equation: its formula, and the integrators that solve it."""

    formula: str
    kinds: str


EQUATIONS: dict[Equation, EquationName] = {
    "first_order": EquationName("h' = f(t, h)", "any kind but leapfrog"),
    "second_order": EquationName("h'' = f(t, h)", "kind=leapfrog"),
}
"""`second_order` starts at rest, `h'(0) = 0`."""


def refuse_other_equation(own: Equation, other: Equation) -> None:
    """Refuse to integrate a block by an integrator that solves another equation.

    Args:
        own: `equation` of the block's own integrator.
        other: That of the integrator that is asked for.

    Raises:
        ConfigError: if they differ.
    """
    if own == other:
        return
    raise ConfigError(
        f"integrators can be exchanged only within one equation: the block's own solves "
        f"{EQUATIONS[own].formula}, and under one that solves {EQUATIONS[other].formula} the same "
        f"weights are another network; use {EQUATIONS[own].kinds}, or train a network with the "
        f"other equation"
    )
