"""The contract of an integrator's configuration."""

import abc

from odenet.integrators.base import Integrator
from odenet.integrators.equation import Equation
from odenet.integrators.gradient_methods import EXACT
from odenet.integrators.remat import Remat
from odenet.part import PartConfig


class IntegratorConfig(PartConfig, abc.ABC, family="integrator"):
    """Options of an integrator; `build` makes it.

    What the integrator can do is declared on its class (see `Integrator`), and read from the one
    that is built. A config adds what only options say: how else a gradient may be taken, and which
    of them would be ignored.
    """

    kind: str

    @abc.abstractmethod
    def build(self) -> Integrator:
        """Make the integrator."""

    @property
    def equation(self) -> Equation:
        """The equation that is solved."""
        return self.build().equation

    @property
    def chooses_steps(self) -> bool:
        """Whether the integrator takes steps of its own in place of those of the grid."""
        return self.build().chooses_steps

    @property
    def needs_positive_steps(self) -> bool:
        """Whether step sizes must stay above 0."""
        return self.build().needs_positive_steps

    @property
    def carries_statistics(self) -> bool:
        """Whether fields may use batch statistics while the integrator runs."""
        return self.build().carries_statistics

    @property
    def carries_integrals(self) -> bool:
        """Whether path integrals may be carried beside the state."""
        return self.build().carries_integrals

    @property
    def is_partitioned(self) -> bool:
        """Whether it is a method for a state of two parts that move each other."""
        return self.build().is_partitioned

    @property
    def layer_remat(self) -> Remat | None:
        """What is stored for the backward pass, if a step is one layer `h + tau F(h)`, else None.

        Only then may layers that are no steps of a method take the place of the steps.
        """
        return None

    def ignored_option(self, *, learns_steps: bool) -> str | None:
        """A sentence about an option that would be ignored, or None.

        Args:
            learns_steps: Whether the step sizes are learned.
        """
        del learns_steps

    def gradient_methods(
        self, *, is_step: bool, learns_steps: bool
    ) -> "dict[str, IntegratorConfig]":
        """Integrators that take the same steps and are differentiated otherwise, by name.

        The one called `gradient_methods.EXACT` has the gradient of the steps as they are taken.

        Args:
            is_step: Whether layers are steps of a method, which have an adjoint equation.
            learns_steps: Whether the step sizes are learned.
        """
        del is_step, learns_steps
        return {EXACT: self}
