"""Higher time derivatives of a path, which determine the step sizes of an adaptive solver."""

import dataclasses
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from jax.experimental.jet import jet
from pydantic import Field as Option

from odenet.arrays import Array, Float, State, Time
from odenet.errors import ConfigError
from odenet.integrators.base import Field
from odenet.objectives.kinetic import squares
from odenet.objectives.regulariser import PathIntegralConfig
from odenet.ops import conv_taylor as conv_taylor  # registers the rule of the convolution

_NO_RULE = (NotImplementedError, KeyError, jax.errors.UnexpectedTracerError)
"""Errors of `jet`: missing rules (dict look-up), and functions with custom derivative rules."""


def path_derivative(field: Field, t: Time, h: State, order: int) -> State:
    r"""$d^K h / dt^K$ of the solution of $h' = f(t, h)$ through `(t, h)`.

    By Taylor-mode differentiation: the first $k$ derivatives of the path give the derivatives of
    $f$ along it, and thereby the path's derivative of order $k + 1$ (Kelly et al. 2020,
    arXiv:2007.04504, app. A). The cost is quadratic in `order`, not exponential.

    Args:
        field: The field.
        t: Depth-time.
        h: State.
        order: `K`, at least 1.

    Raises:
        ConfigError: if JAX has no Taylor rule for an operation of the field.
    """
    path = [field(t, h)]
    zero, one = jnp.zeros_like(t), jnp.ones_like(t)
    for known in range(1, order):
        time = [one] + [zero] * (known - 1)
        try:
            first, more = jet(field, (t, h), (time, path))
        except _NO_RULE as error:
            raise ConfigError(
                "kind=taylor differentiates the field by jax.experimental.jet, which has no rule "
                f"for a part of this field ({type(error).__name__}), such as relu, softplus and "
                "group norm; use activation=tanh, sigmoid, silu, gelu, elu or sin and norm=none, "
                "or kind=kinetic"
            ) from error
        path = [first, *more]
    return path[-1]


@dataclasses.dataclass(frozen=True)
class TaylorDerivative:
    r"""$|d^K h / dt^K|^2$ (Kelly et al. 2020, arXiv:2007.04504, eq. 1).

    Args:
        order: `K`. If the integrand is zero, a method of order `K - 1` is exact.
    """

    order: int

    def __call__(self, field: Field, t: Time, h: State, probe: State) -> Float[Array, " batch"]:
        """The integrand of every example."""
        del probe
        return squares(path_derivative(field, t, h, self.order))


class TaylorDerivativeConfig(PathIntegralConfig):
    """The integral of |d^K h / dt^K|^2 over depth-time, averaged over the examples."""

    kind: Literal["taylor"] = "taylor"
    order: Annotated[int, Option(ge=2, le=8)] = 3
    """`K`; 1 would be kind=kinetic."""

    @property
    def name(self) -> str:
        """Name of the integral in the metrics."""
        return f"taylor_{self.order}"

    def build(self) -> TaylorDerivative:
        """Make the integrand."""
        return TaylorDerivative(self.order)
