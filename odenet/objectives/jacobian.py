"""The Frobenius norm of a field's Jacobian along a solve, by Hutchinson's estimator."""

import dataclasses
from typing import Literal

import jax

from odenet.arrays import Array, Float, State, Time
from odenet.integrators.base import Field
from odenet.objectives.kinetic import squares
from odenet.objectives.regulariser import PathIntegralConfig


@dataclasses.dataclass(frozen=True)
class JacobianNorm:
    r"""$|\varepsilon^T \partial f / \partial h|^2$, whose mean is the squared Frobenius norm.

    $\varepsilon$ is standard normal, one sample for the whole solve (Hutchinson 1990; Finlay et al.
    2020, arXiv:2002.02798). The cost is one vector-Jacobian product for every evaluation. A field
    that depends on the initial state of its block is differentiated with respect to the current
    state only.
    """

    def __call__(self, field: Field, t: Time, h: State, probe: State) -> Float[Array, " batch"]:
        """The integrand of every example."""
        _, pull = jax.vjp(lambda h: field(t, h), h)
        return squares(pull(probe)[0])


class JacobianNormConfig(PathIntegralConfig):
    """The integral of the squared Frobenius norm of df/dh over depth-time, estimated."""

    kind: Literal["jacobian"] = "jacobian"

    @property
    def name(self) -> str:
        """Name of the integral in the metrics."""
        return "jacobian"

    def build(self) -> JacobianNorm:
        """Make the integrand."""
        return JacobianNorm()
