"""RK4 in diffrax in its usual form: a tableau, fixed steps, the default adjoint."""

from typing import ClassVar

import diffrax
import jax.numpy as jnp
import numpy as np

from benchmarks import weights
from benchmarks.declaration import Settings, Work
from benchmarks.jax_training import square_mean_training


class RK4(diffrax.AbstractERK):
    """The classical Runge-Kutta method, which diffrax does not have."""

    tableau: ClassVar[diffrax.ButcherTableau] = diffrax.ButcherTableau(
        a_lower=(np.array([1 / 2]), np.array([0.0, 1 / 2]), np.array([0.0, 0.0, 1.0])),
        b_sol=np.array([1 / 6, 1 / 3, 1 / 3, 1 / 6]),
        b_error=np.zeros(4),
        c=np.array([1 / 2, 1 / 2, 1.0]),
    )
    interpolation_cls = diffrax.ThirdOrderHermitePolynomialInterpolation.from_k

    def order(self, terms):
        """The order of convergence."""
        del terms
        return 4


def build(settings: Settings, double: bool) -> Work:
    """The diffrax side."""
    width, steps = settings["width"], settings["steps"]

    def field(t, h, params):
        del t
        h = jnp.tanh(h @ params["affine.0.kernel"] + params["affine.0.bias"])
        return h @ params["affine.1.kernel"] + params["affine.1.bias"]

    def solve(params, h0):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field), RK4(), t0=0.0, t1=1.0, dt0=1 / steps, y0=h0, args=params
        )
        return solution.ys[-1], solution.stats["num_steps"]

    h0, _ = weights.vectors(settings["batch"], width, 10, double)
    return square_mean_training(solve, weights.mlp_field(width, width, double), h0)
