r"""Amplification factor of one step of a method on the linear test equation.

For a Runge-Kutta method it is $|R(\tau\lambda)|$. A partitioned method, or one with variables
besides the state, is a matrix on both parts or on `(h, v)`: its factor is the spectral radius
(`staged_amplification`). A layer's field is replaced by its Jacobian at the start of the step; a
step of any of these methods then acts on each eigenvector separately, so $\lambda$ may be any
eigenvalue of the Jacobian. (A separable field $[f_y(z); f_z(y)]$ has the test equation
$y' = \lambda z$, $z' = \lambda y$.)
"""

import abc
import dataclasses
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from odenet.arrays import Array, Float, Inexact
from odenet.integrators.stability_function import StabilityFunction

_FARTHEST, _SAMPLES, _BISECTIONS = 40.0, 800, 60


class Amplification(abc.ABC):
    """The effect of one step of a method on the linear test equation.

    Attributes:
        power: The step is a function of $\\tau^{\\text{power}} \\lambda$: 2 for
            $h'' = \\lambda h$, else 1.
        depends_on_step: Whether the step also depends on $\\tau$ itself.
    """

    power: ClassVar[int] = 1
    depends_on_step: ClassVar[bool] = False

    @abc.abstractmethod
    def tolerance(self, eps: float) -> float:
        """Largest excess of a factor over 1 that counts as none, for eigenvalues known to `eps`."""

    @abc.abstractmethod
    def factors(self, taus: np.ndarray, eigenvalues: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The amplification factor of every step.

        Args:
            taus: Step sizes.
            eigenvalues: Complex, of the same shape, one for each step size.
            steps: Index of each step in its block, of the same shape.
        """

    def critical_scales(
        self, taus: np.ndarray, eigenvalues: np.ndarray, steps: np.ndarray, eps: float
    ) -> np.ndarray:
        """The largest multiple of a step size whose factor does not exceed 1.

        The search samples the ray $s \\tau$, $s > 0$, and bisects between the first sample that is
        unstable and the sample before it.

        Args:
            taus: Step sizes, shape `(number,)`.
            eigenvalues: Complex, one for each step size.
            steps: Index of each step in its block.
            eps: Relative accuracy of the eigenvalues.

        Returns:
            Shape `(number,)`: near 0 if every step size is unstable, infinity if none is.
        """
        size = np.abs(taus) * np.abs(eigenvalues) ** (1 / self.power)
        found = np.full(size.shape, np.inf)
        ray = np.linspace(0, _FARTHEST, _SAMPLES + 1)
        limit = 1 + self.tolerance(eps)

        def grows(which, distances):
            scales = distances / size[which][:, None]
            shape = scales.shape
            each = (np.broadcast_to(a[which][:, None], shape) for a in (taus, eigenvalues, steps))
            tau, eigenvalue, step = each
            return self.factors(scales * tau, eigenvalue, step) > limit

        for which in np.array_split(np.flatnonzero(size), max(1, np.count_nonzero(size) // 512)):
            if not len(which):
                continue
            outside = grows(which, ray[None, 1:])
            which, first = which[outside.any(axis=1)], outside[outside.any(axis=1)].argmax(axis=1)
            low, high = ray[first], ray[first + 1]
            for _ in range(_BISECTIONS):
                middle = (low + high) / 2
                out = grows(which, middle[:, None])[:, 0]
                low, high = np.where(out, low, middle), np.where(out, middle, high)
            found[which] = low / size[which]
        return found


@dataclasses.dataclass(frozen=True)
class RungeKuttaAmplification(Amplification):
    """$|R(\\tau\\lambda)|$."""

    function: StabilityFunction

    def tolerance(self, eps: float) -> float:
        """A few rounding errors."""
        return 16 * eps

    def factors(self, taus: np.ndarray, eigenvalues: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The amplification factor of every step."""
        del steps
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            values = np.abs(self.function(taus * eigenvalues))
        return np.where(np.isnan(values), np.inf, values)


@dataclasses.dataclass(frozen=True)
class StepMapAmplification(Amplification):
    """The amplification factor of a map of the state alone.

    Args:
        integrator: An integrator with a `step_map`.
    """

    integrator: Any

    def tolerance(self, eps: float) -> float:
        """A few rounding errors."""
        return 16 * eps

    def factors(self, taus: np.ndarray, eigenvalues: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The amplification factor of every step."""
        del steps
        return np.asarray(_factor(self.integrator, taus, eigenvalues))


@partial(jax.jit, static_argnums=0)
def _factor(integrator: Any, taus, eigenvalues):
    """The factor of a step from a unit vector, for arrays of equal shape."""
    taus, eigenvalues = jnp.asarray(taus, float), jnp.asarray(eigenvalues, complex)
    step = integrator.step_map()
    start = jnp.asarray([[1.0, 0.0]], float)

    def factor(tau, eigenvalue):
        field = jax.tree_util.Partial(_turned, turning(eigenvalue))
        return jnp.linalg.norm(step(field, jnp.zeros_like(tau), tau, start))

    for _ in range(taus.ndim):
        factor = jax.vmap(factor)
    found = factor(taus, eigenvalues)
    return jnp.where(jnp.isnan(found), jnp.inf, found)


def _turned(turn: Float[Array, "2 2"], t: Any, h: Any) -> Any:
    """The test equation."""
    del t
    return h @ turn


def turning(eigenvalue: Inexact[Array, ""]) -> Float[Array, "2 2"]:
    """Multiplication by a complex number, on rows of real and imaginary parts: states are real."""
    real, imaginary = eigenvalue.real, eigenvalue.imag
    return jnp.asarray([[real, imaginary], [-imaginary, real]])
