"""The contract of a regulariser along the depth."""

import abc
from typing import NamedTuple

from pydantic import PositiveFloat

from odenet.integrators.quadrature import Integrand
from odenet.part import PartConfig


class WeightedIntegral(NamedTuple):
    """A path integral that is added to the objective.

    Attributes:
        name: Name in the metrics.
        weight: Weight in the objective.
        integrand: The integrand.
    """

    name: str
    weight: float
    integrand: Integrand


class RegulariserConfig(PartConfig, abc.ABC, family="regulariser"):
    """Options of a regulariser along the depth: a path integral, or a random end time."""

    kind: str

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Name in messages, and in the metrics if there is one."""

    @property
    def integral(self) -> WeightedIntegral | None:
        """The path integral that is added to the objective, or None."""
        return None

    @property
    def end_width(self) -> float:
        """Largest distance of the random end time from the horizon, as a fraction of it."""
        return 0.0


class PathIntegralConfig(RegulariserConfig):
    """Options of a path integral; `build` makes its integrand."""

    weight: PositiveFloat

    @abc.abstractmethod
    def build(self) -> Integrand:
        """Make the integrand."""

    @property
    def integral(self) -> WeightedIntegral:
        """The path integral that is added to the objective."""
        return WeightedIntegral(self.name, self.weight, self.build())
