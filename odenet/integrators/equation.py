"""What integrators solve: those of one equation can be exchanged, with the same weights."""

from typing import Any, Literal, NamedTuple

from odenet.errors import ConfigError

Equation = Literal["first_order", "second_order", "momentum"]


class EquationName(NamedTuple):
    """How messages speak of an equation: its formula, and the integrators that solve it.

    Attributes:
        formula: As text.
        kinds: Which integrators solve it.
        constants: Options of those integrators that are constants of the equation.
    """

    formula: str
    kinds: str
    constants: tuple[str, ...] = ()


EQUATIONS: dict[Equation, EquationName] = {
    "first_order": EquationName("h' = f(t, h)", "any kind but leapfrog and momentum"),
    "second_order": EquationName("h'' = f(t, h)", "kind=leapfrog"),
    "momentum": EquationName("h' = v, eps v' = f(t, h) - v", "kind=momentum", ("gamma",)),
}
"""`second_order` starts at rest, `h'(0) = 0`; so does `momentum`, with `eps = -1/log(gamma)`."""


def refuse_other_equation(own: Any, other: Any) -> None:
    """Refuse to integrate a block by an integrator that solves another equation.

    Args:
        own: The block's own integrator, or its config.
        other: That which is asked for, likewise.

    Raises:
        ConfigError: if their equations differ, or a constant of them.
    """
    name = EQUATIONS[own.equation]
    if own.equation != other.equation:
        raise ConfigError(
            f"integrators can be exchanged only within one equation: the block's own solves "
            f"{name.formula}, and under one that solves {EQUATIONS[other.equation].formula} the "
            f"same weights are another network; use {name.kinds}, or train a network with the "
            f"other equation"
        )
    for constant in name.constants:
        trained, asked = getattr(own, constant), getattr(other, constant)
        if trained != asked:
            raise ConfigError(
                f"integrators can be exchanged only within one equation: the block's own solves "
                f"{name.formula} with {constant}={trained}, and with {constant}={asked} the same "
                f"weights are another network; use {constant}={trained}, or train a network with "
                f"the other"
            )
