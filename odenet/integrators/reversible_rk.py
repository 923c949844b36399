"""Explicit Runge-Kutta methods made algebraically reversible."""

import dataclasses
from typing import Annotated, ClassVar, Literal

from pydantic import Field as Option

from odenet.arrays import State, Time
from odenet.depth.weights import LayerFields
from odenet.integrators.base import Field
from odenet.integrators.explicit import TABLEAUS, ExplicitName, Tableau, mean_derivative
from odenet.integrators.stages import Carry, Stage, StagedConfig, StagedIntegrator


@dataclasses.dataclass(frozen=True)
class ReversibleRungeKutta(StagedIntegrator):
    r"""Two states, each updated by a Runge-Kutta step at the other (McCallum and Foster 2024).

    With $\Psi_\tau(t, h)$ the increment of $h$ in a step of the method, and $z_0 = y_0$
    (arXiv:2410.11648, eq. 6): $y_1 = \lambda y_0 + (1 - \lambda) z_0 + \Psi_\tau(t_0, z_0)$ and
    $z_1 = z_0 - \Psi_{-\tau}(t_0 + \tau, y_1)$. It has the order of the method and takes twice its
    evaluations. The method is algebraically reversible: a backward pass reconstructs the states
    from the last, with exact gradients, to round-off, with memory that does not grow with depth.

    $\lambda < 1$ couples the two states. Then short steps of a decaying mode are stable: for Euler
    those with $-(1 - \lambda) \le z \le 0$ for real $z$. For unstable steps, the difference of the
    two states grows, and is of the size of the method's error as long as that growth over the
    horizon is of order one. The order holds for short steps: for steps as long as $1 - \lambda$,
    the error constant changes with them. Inverting a step multiplies the difference, and round-off
    in it, by $1/\lambda$.

    Args:
        tableau: Coefficients of the method.
        coupling: $\lambda$, in (0, 1].
    """

    zero_step_is_identity: ClassVar[bool] = False

    tableau: Tableau = TABLEAUS["midpoint"]
    coupling: float = 0.999

    @property
    def name(self) -> str:
        """Its kind in experiment files."""
        return "reversible_rk"

    def start(self, fields: LayerFields, h0: State) -> Carry:
        """The initial state twice."""
        del fields
        return (h0, h0)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """A forward step added to the first state, a backward step subtracted from the second."""
        keep = self.coupling

        def ahead(field: Field, t: Time, h: State, tau: Time) -> State:
            return mean_derivative(self.tableau, field, t, tau, h)

        def behind(field: Field, t: Time, h: State, tau: Time) -> State:
            return mean_derivative(self.tableau, field, t, -tau, h)

        def invert_ahead(end, derivative, tau):
            y1, z = end
            return (y1 - (1 - keep) * z - tau * derivative) / keep, z

        first = Stage(
            point=lambda carry, t0, tau: (t0, carry[1]),
            evaluate=ahead,
            move=lambda carry, derivative, tau: (
                keep * carry[0] + (1 - keep) * carry[1] + tau * derivative,
                carry[1],
            ),
            point_after=lambda end, t0, tau: (t0, end[1]),
            invert=invert_ahead,
        )
        second = Stage(
            point=lambda carry, t0, tau: (t0 + tau, carry[0]),
            evaluate=behind,
            move=lambda carry, derivative, tau: (carry[0], carry[1] + tau * derivative),
            point_after=lambda end, t0, tau: (t0 + tau, end[0]),
            invert=lambda end, derivative, tau: (end[0], end[1] - tau * derivative),
        )
        return first, second

    def nfe(self, num_steps: int) -> int:
        """Twice the stages of the method, for every step."""
        return 2 * self.tableau.num_stages * num_steps


class ReversibleRungeKuttaConfig(StagedConfig):
    """An algebraically reversible Runge-Kutta method with the fixed steps of the grid."""

    kind: Literal["reversible_rk"] = "reversible_rk"
    method: ExplicitName = "midpoint"
    """The method; its order is kept."""
    coupling: Annotated[float, Option(gt=0, le=1)] = 0.999
    """Weight of the first of the two states in its own update, in (0, 1]: a smaller weight makes
    longer steps stable, and inverting them loses more digits."""

    def build(self) -> ReversibleRungeKutta:
        """Make the integrator."""
        return ReversibleRungeKutta(self.remat, TABLEAUS[self.method], self.coupling)
