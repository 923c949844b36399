r"""By how much one step of a method multiplies a solution of the linear test equation.

For a Runge-Kutta method that is $|R(\tau\lambda)|$. A method that carries something beside the
state, or is partitioned, is a matrix on `(h, v)` or on both parts: its spectral radius counts
(`staged_amplification`). A layer's field is replaced by its Jacobian at the start of the step,
frozen; the step of any of these methods then acts on every eigenvector by itself, so that
$\lambda$ may be any eigenvalue of it. (A separable field $[f_y(z); f_z(y)]$ has the test equation
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
    """What one step of a method does to the linear test equation.

    Attributes:
        power: The step is a function of $\\tau^{\\text{power}} \\lambda$: 2 for
            $h'' = \\lambda h$, else 1.
        depends_on_step: Whether it is one of $\\tau$ too.
    """

    power: ClassVar[int] = 1
    depends_on_step: ClassVar[bool] = False

    @abc.abstractmethod
    def tolerance(self, eps: float) -> float:
        """What a factor may exceed 1 by and still count as 1, if eigenvalues are known to `eps`."""

    @abc.abstractmethod
    def factors(self, taus: np.ndarray, eigenvalues: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The factor of every step.

        Args:
            taus: Step sizes.
            eigenvalues: Complex, of the same shape, one for each step size.
            steps: Which step of the block each is, of the same shape.
        """

    def critical_scales(
        self, taus: np.ndarray, eigenvalues: np.ndarray, steps: np.ndarray, eps: float
    ) -> np.ndarray:
        """The number by which a step size may be multiplied before its factor exceeds 1.

        It is looked for on the ray $s \\tau$, $s > 0$: the first of many samples that is outside,
        and the way back to the one before it by bisection.

        Args:
            taus: Step sizes, shape `(number,)`.
            eigenvalues: Complex, one for each.
            steps: Which step of the block each is.
            eps: To which relative accuracy eigenvalues are known.

        Returns:
            Shape `(number,)`: near 0 where every step size lets it grow, infinity where none does.
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
        """A few roundings."""
        return 16 * eps

    def factors(self, taus: np.ndarray, eigenvalues: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The factor of every step."""
        del steps
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            values = np.abs(self.function(taus * eigenvalues))
        return np.where(np.isnan(values), np.inf, values)


@dataclasses.dataclass(frozen=True)
class StepMapAmplification(Amplification):
    """The factor by which a map of the state alone multiplies a solution of the test equation.

    Args:
        integrator: An integrator with a `step_map`.
    """

    integrator: Any

    def tolerance(self, eps: float) -> float:
        """A few roundings."""
        return 16 * eps

    def factors(self, taus: np.ndarray, eigenvalues: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The factor of every step."""
        del steps
        return np.asarray(_factor(self.integrator, taus, eigenvalues))


@partial(jax.jit, static_argnums=0)
def _factor(integrator: Any, taus, eigenvalues):
    """Of a step from a unit vector, for arrays of equal shape."""
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
    """Multiplication by a complex number, on rows of real and imaginary part: states are real."""
    real, imaginary = eigenvalue.real, eigenvalue.imag
    return jnp.asarray([[real, imaginary], [-imaginary, real]])
