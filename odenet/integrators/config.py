"""The contract of an integrator's configuration."""

import abc
from typing import ClassVar

from odenet.integrators.base import Integrator
from odenet.integrators.equation import FIRST_ORDER, Equation
from odenet.part import PartConfig


class IntegratorConfig(PartConfig, abc.ABC, family="integrator"):
    """Base of the configuration of every integrator."""

    kind: str

    equation: ClassVar[Equation] = FIRST_ORDER
    """What is solved."""

    @property
    def chooses_steps(self) -> bool:
        """Whether the integrator chooses its own steps and leaves those of the grid alone."""
        return False

    @abc.abstractmethod
    def build(self) -> Integrator:
        """Make the integrator."""
