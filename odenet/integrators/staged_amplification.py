r"""Amplification factor of a step made of stages on the linear test equation.

A partitioned method, or one with variables besides the state, is a matrix on `(q, p)` or on
`(h, v)`: its factor is the spectral radius.
"""

import dataclasses
from functools import partial
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from odenet.depth.grid import DepthGrid
from odenet.integrators.amplification import Amplification, turning
from odenet.integrators.equation import Equation


@runtime_checkable
class Staged(Protocol):
    """The members of a method used here: see `StagedIntegrator`.

    Attributes:
        is_partitioned: Whether its carry is one partitioned state.
    """

    is_partitioned: ClassVar[bool]

    @property
    def equation(self) -> Equation:
        """The equation that it solves."""
        ...

    def extra(self, grid: DepthGrid) -> tuple[Any, ...]:
        """Arrays with one row per step."""
        ...

    def step(self, field: Any, carry: Any, t0: Any, tau: Any, *extra: Any) -> Any:
        """The carry after a step."""
        ...


@dataclasses.dataclass(frozen=True)
class StagedAmplification(Amplification):
    """The spectral radius of the step on the test equation.

    Args:
        integrator: The method.
        grid: Its steps, on whose sizes a step may depend.
    """

    integrator: Staged
    grid: DepthGrid

    @property
    def power(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """2 for a second-order equation."""
        return int(self.integrator.equation.order)

    @property
    def depends_on_step(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the step depends on more than the product."""
        return self.integrator.equation.has_time_scale

    def tolerance(self, eps: float) -> float:
        """A double eigenvalue loses half of the digits."""
        return 4 * eps**0.5

    def factors(self, taus: np.ndarray, eigenvalues: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The factor of every step; a special first step of the method counts as the next one."""
        first = min(1, self.grid.num_steps - 1)
        steps = np.where(steps == 0, first, steps)
        rows = tuple(np.asarray(row)[steps] for row in self.integrator.extra(self.grid))
        return np.asarray(_spectral_radius(self.integrator, taus, eigenvalues, rows))


@partial(jax.jit, static_argnums=0)
def _spectral_radius(integrator: Staged, taus, eigenvalues, rows):
    """The spectral radius of the 2 x 2 matrix of a step, for arrays of equal shape."""
    taus, eigenvalues = jnp.asarray(taus, float), jnp.asarray(eigenvalues, complex)
    partitioned = integrator.is_partitioned
    # Unit vectors of both parts of a carry.
    one, none = jnp.asarray([1.0, 0.0], float), jnp.zeros(2, float)
    halves = jnp.stack([one, none]), jnp.stack([none, one])

    def radius(tau, eigenvalue, *extra):
        turn = turning(eigenvalue)

        def field(t, h):
            if not partitioned:
                return h @ turn
            y, z = jnp.split(h, 2, axis=-1)
            return jnp.concatenate([z @ turn, y @ turn], axis=-1)

        carry = (jnp.concatenate(halves, axis=-1),) if partitioned else halves
        carry = integrator.step(field, carry, jnp.zeros_like(tau), tau, *extra)
        parts = jnp.concatenate(carry, axis=-1)
        # A step is linear in the carry: the rows are the images of unit vectors.
        step = jax.lax.complex(parts[:, ::2], parts[:, 1::2])
        half, determinant = jnp.trace(step) / 2, jnp.linalg.det(step)
        root = jnp.sqrt(half**2 - determinant)
        return jnp.maximum(jnp.abs(half + root), jnp.abs(half - root))

    for _ in range(taus.ndim):
        radius = jax.vmap(radius)
    found = radius(taus, eigenvalues, *(jnp.asarray(row, float) for row in rows))
    return jnp.where(jnp.isnan(found), jnp.inf, found)
