"""The contract of an integrator's configuration."""

import abc

from odenet.integrators.base import Integrator
from odenet.integrators.equation import Equation
from odenet.integrators.gradient_methods import EXACT
from odenet.integrators.remat import Remat
from odenet.part import PartConfig


class IntegratorConfig(PartConfig, abc.ABC, family="integrator"):
    """Options of an integrator; `build` makes it.

    The capabilities of the integrator are declared on its class (see `Integrator`), and read from
    the integrator built. A config adds properties of the options: other gradient methods, and
    options that would be ignored.
    """

    kind: str

    @abc.abstractmethod
    def build(self) -> Integrator:
        """Make the integrator."""

    @property
    def equation(self) -> Equation:
        """The equation that the integrator solves."""
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
        """Whether fields may use batch statistics."""
        return self.build().carries_statistics

    @property
    def carries_integrals(self) -> bool:
        """Whether path integrals may be integrated with the state."""
        return self.build().carries_integrals

    @property
    def is_partitioned(self) -> bool:
        """Whether it is a partitioned method, for a state `[q; p]`."""
        return self.build().is_partitioned

    @property
    def layer_remat(self) -> Remat | None:
        """The option `remat` if a step is one layer `h + tau F(h)`, else None.

        Only then may a step be replaced by a layer that is no step of a method.
        """
        return None

    def ignored_option(self, *, learns_steps: bool) -> str | None:
        """A message about an option that would be ignored, or None.

        Args:
            learns_steps: Whether the step sizes are learned.
        """
        del learns_steps

    def gradient_methods(
        self, *, is_step: bool, learns_steps: bool
    ) -> "dict[str, IntegratorConfig]":
        """Integrators with the same steps and other gradient methods, by name.

        `gradient_methods.EXACT` is the name of the gradient of the steps as they are taken.

        Args:
            is_step: Whether layers are steps of a method, and so have an adjoint equation.
            learns_steps: Whether the step sizes are learned.
        """
        del is_step, learns_steps
        return {EXACT: self}
