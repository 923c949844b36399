"""Equations of integrators: integrators of one equation are interchangeable on the same weights."""

from typing import NamedTuple

from odenet.errors import ConfigError


class Equation(NamedTuple):
    """An equation for the state of a block; two that are equal have the same solutions.

    Attributes:
        formula: The equation as written in messages.
        kinds: The integrators that solve it, as named in messages.
        order: Order of the derivative with respect to depth-time.
        has_time_scale: Whether it has a time scale of its own, besides those of the field.
    """

    formula: str
    kinds: str
    order: float = 1
    has_time_scale: bool = False


FIRST_ORDER = Equation("h' = f(t, h)", "any kind but leapfrog, momentum or fractional")
SECOND_ORDER = Equation("h'' = f(t, h)", "kind=leapfrog", order=2)
"""Initially at rest, `h'(0) = 0`."""


def momentum(gamma: float) -> Equation:
    """The equation of a state with a velocity that relaxes to the field; initially at rest."""
    kept = f"gamma={gamma:g}"
    return Equation(
        f"h' = v, eps v' = f(t, h) - v with {kept}",
        f"kind=momentum with {kept}",
        has_time_scale=True,
    )


def fractional(gamma: float) -> Equation:
    """The equation with a Caputo derivative of order `gamma`."""
    formula, kinds = f"D^{gamma:g} h = f(t, h)", f"kind=fractional with gamma={gamma:g}"
    return Equation(formula, kinds, order=gamma)


def refuse_other_equation(own: Equation, other: Equation) -> None:
    """Refuse to integrate a block with an integrator of another equation.

    Args:
        own: `equation` of the block's own integrator.
        other: `equation` of the requested integrator.

    Raises:
        ConfigError: if they differ.
    """
    if own == other:
        return
    raise ConfigError(
        f"integrators can be exchanged only within one equation: the block's own solves "
        f"{own.formula}, and under one that solves {other.formula} the same weights are another "
        f"network; use {own.kinds}, or train a network with the other equation"
    )
