"""The contract of a regulariser along the depth."""

import abc
from typing import NamedTuple

from pydantic import PositiveFloat

from odenet.integrators.quadrature import Integrand
from odenet.part import PartConfig


class WeightedIntegral(NamedTuple):
    """A path integral that is added to the objective.

    Attributes:
        name: In the metrics.
        weight: With which it is added.
        integrand: What is integrated.
    """

    name: str
    weight: float
    integrand: Integrand


class RegulariserConfig(PartConfig, abc.ABC, family="regulariser"):
    """Options of what training adds along the depth: a path integral, or a random end."""

    kind: str

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Name in messages, and in the metrics where there is one."""

    @property
    def integral(self) -> WeightedIntegral | None:
        """The path integral that is added to the objective, or None."""
        return None

    @property
    def end_width(self) -> float:
        """How far the end of a solve may lie from the horizon, as a part of it."""
        return 0.0


class PathIntegralConfig(RegulariserConfig):
    """Options of a path integral; `build` makes its integrand."""

    weight: PositiveFloat

    @abc.abstractmethod
    def build(self) -> Integrand:
        """Make what is integrated."""

    @property
    def integral(self) -> WeightedIntegral:
        """The path integral that is added to the objective."""
        return WeightedIntegral(self.name, self.weight, self.build())
