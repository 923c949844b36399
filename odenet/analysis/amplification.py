r"""By how much one step of a method multiplies a solution of the linear test equation.

For a Runge-Kutta method that is $|R(\tau\lambda)|$. A method that carries something beside the
state, or moves halves of it in turn, is a matrix on `(h, v)` or on both halves: its spectral radius
counts. A layer's field is replaced by its Jacobian at the start of the step, frozen; the step of
any of these methods then acts on every eigenvector by itself, so that $\lambda$ may be any
eigenvalue of it. (A separable field $[f_y(z); f_z(y)]$ has the test equation $y' = \lambda z$,
$z' = \lambda y$.)
"""

import abc
import dataclasses
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from odenet.analysis.stability_function import StabilityFunction
from odenet.depth.grid import DepthGrid
from odenet.integrators import (
    AdaptiveRungeKutta,
    Diffrax,
    ExplicitRungeKutta,
    Fractional,
    Integrator,
    Leapfrog,
    Momentum,
    SeparableMethod,
)
from odenet.integrators.stages import StagedIntegrator, take_step

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
class StagedAmplification(Amplification):
    """The spectral radius of the step, as its stages make it of the test equation."""

    integrator: StagedIntegrator
    grid: DepthGrid

    @property
    def power(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """2 for a second-order equation."""
        return 2 if isinstance(self.integrator, Leapfrog) else 1

    @property
    def depends_on_step(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the step depends on more than the product."""
        return isinstance(self.integrator, Momentum)

    def tolerance(self, eps: float) -> float:
        """A double eigenvalue loses half of the digits."""
        return 4 * eps**0.5

    def factors(self, taus: np.ndarray, eigenvalues: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The factor of every step; a first one that the method starts with counts as the next."""
        first = min(1, self.grid.num_steps - 1)
        steps = np.where(steps == 0, first, steps)
        rows = tuple(np.asarray(row)[steps] for row in self.integrator.extra(self.grid))
        return np.asarray(_spectral_radius(self.integrator, taus, eigenvalues, rows))


@partial(jax.jit, static_argnums=0)
def _spectral_radius(integrator: StagedIntegrator, taus, eigenvalues, rows):
    """Of the 2 x 2 matrix of a step, for arrays of equal shape."""
    taus, eigenvalues = jnp.asarray(taus, float), jnp.asarray(eigenvalues, complex)
    separable = isinstance(integrator, SeparableMethod)
    # States are real: a complex number is two, its parts. Unit vectors of both halves of a carry.
    one, none = jnp.asarray([1.0, 0.0], float), jnp.zeros(2, float)
    halves = jnp.stack([one, none]), jnp.stack([none, one])

    def radius(tau, eigenvalue, *extra):
        real, imaginary = eigenvalue.real, eigenvalue.imag
        turn = jnp.asarray([[real, imaginary], [-imaginary, real]])

        def field(t, h):
            if not separable:
                return h @ turn
            y, z = jnp.split(h, 2, axis=-1)
            return jnp.concatenate([z @ turn, y @ turn], axis=-1)

        carry = (jnp.concatenate(halves, axis=-1),) if separable else halves
        carry = take_step(integrator.stages, field, carry, jnp.zeros_like(tau), tau, *extra)
        parts = jnp.concatenate(carry, axis=-1)
        # A step is linear in the carry: rows are what unit vectors become.
        step = jax.lax.complex(parts[:, ::2], parts[:, 1::2])
        half, determinant = jnp.trace(step) / 2, jnp.linalg.det(step)
        root = jnp.sqrt(half**2 - determinant)
        return jnp.maximum(jnp.abs(half + root), jnp.abs(half - root))

    for _ in range(taus.ndim):
        radius = jax.vmap(radius)
    found = radius(taus, eigenvalues, *(jnp.asarray(row, float) for row in rows))
    return jnp.where(jnp.isnan(found), jnp.inf, found)


def amplification_of(integrator: Integrator, grid: DepthGrid) -> Amplification | str:
    """What a step of an integrator does to the test equation, or why it has no such factor.

    Args:
        integrator: The integrator.
        grid: Its steps.
    """
    if isinstance(integrator, ExplicitRungeKutta):
        tableau = integrator.tableau
        return RungeKuttaAmplification(StabilityFunction.of(tableau.a, tableau.b))
    if isinstance(integrator, StagedIntegrator):
        return StagedAmplification(integrator, grid)
    if isinstance(integrator, Fractional):
        return "a step remembers all earlier ones, and so is no matrix on the state"
    if isinstance(integrator, AdaptiveRungeKutta):
        return "steps are chosen by their error, which keeps them stable"
    if isinstance(integrator, Diffrax):
        if integrator.controller is not None:
            return "steps are chosen by their error, which keeps them stable"
        if integrator.coefficients is not None:
            return RungeKuttaAmplification(StabilityFunction.of(*integrator.coefficients))
        if integrator.moves_halves:
            return StagedAmplification(SeparableMethod(kind="symplectic_euler"), grid)
    return f"{type(integrator).__name__} is no Runge-Kutta method"
