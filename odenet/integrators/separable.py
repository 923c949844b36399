"""Symplectic methods for partitioned systems."""

import dataclasses
from typing import Any, ClassVar, Literal

import jax.numpy as jnp

from odenet.arrays import State
from odenet.depth.weights import LayerFields
from odenet.errors import ConfigError
from odenet.integrators.base import Integrator, StepMap
from odenet.integrators.stages import Carry, Stage, StagedConfig, StagedIntegrator

SeparableKind = Literal["symplectic_euler", "verlet"]


@dataclasses.dataclass(frozen=True)
class SeparableMethod(StagedIntegrator):
    r"""Steps for $y' = f_y(t, z)$, $z' = f_z(t, y)$, a partitioned system of state $h = [y; z]$.

    * `symplectic_euler`: $z_1 = z_0 + \tau f_z(t_0, y_0)$, $y_1 = y_0 + \tau f_y(t_0, z_1)$, of
      order 1. Haber and Ruthotto 2017, arXiv:1705.03341, sec. 4.2, call it Verlet.
    * `verlet`: half of a step of $z$, one of $y$, and half of one of $z$: $z_{1/2} = z_0 +
      \frac\tau2 f_z(t_0, y_0)$, $y_1 = y_0 + \tau f_y(t_0 + \frac\tau2, z_{1/2})$, $z_1 = z_{1/2} +
      \frac\tau2 f_z(t_0 + \tau, y_1)$, of order 2 (Störmer and Verlet; Hairer, Lubich and Wanner
      2006, sec. I.1.4).

    Both are symplectic for a Hamiltonian field, so that its energy does not drift, and can be
    inverted. A stage evaluates one part of the field, and `nfe` counts both parts as one
    evaluation: one for a step of `symplectic_euler`, three for two steps of `verlet`, rounded up.

    Args:
        kind: `symplectic_euler` or `verlet`.
    """

    is_partitioned: ClassVar[bool] = True

    kind: SeparableKind = "verlet"

    @property
    def name(self) -> str:
        """Its kind in experiment files."""
        return self.kind

    def step_map(self) -> StepMap:
        """One step as a map of the state alone."""
        return lambda field, t0, tau, h0: self.step(field, (h0,), t0, tau)[0]

    def start(self, fields: LayerFields, h0: State) -> Carry:
        """The initial state alone."""
        del fields
        return (h0,)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Two stages, or three; each updates one part."""
        if self.kind == "symplectic_euler":
            return _shear("z", 1.0, 0.0), _shear("y", 1.0, 0.0)
        return _shear("z", 0.5, 0.0), _shear("y", 1.0, 0.5), _shear("z", 0.5, 1.0)

    def nfe(self, num_steps: int) -> int:
        """Half the number of stages."""
        return -(-num_steps * len(self.stages) // 2)


def _shear(part: Literal["y", "z"], fraction: float, at: float) -> Stage:
    """Update one part over `fraction` of a step by its derivative at `t0 + at * tau`.

    That derivative depends on the other part alone, so it is the same before and after.
    """

    def point(carry, t0, tau):
        return t0 + at * tau, carry[0]

    def evaluate(field, t, h, tau):
        del tau
        y, z = jnp.split(field(t, h), 2, axis=-1)
        return y if part == "y" else z

    def moved(carry, derivative, length):
        y, z = jnp.split(carry[0], 2, axis=-1)
        parts = [y + length * derivative, z] if part == "y" else [y, z + length * derivative]
        return (jnp.concatenate(parts, axis=-1),)

    return Stage(
        point=point,
        move=lambda carry, derivative, tau: moved(carry, derivative, fraction * tau),
        point_after=point,
        invert=lambda end, derivative, tau: moved(end, derivative, -fraction * tau),
        evaluate=evaluate,
    )


def refuse_unpartitioned_field(integrator: Integrator, field: Any, name: str) -> None:
    """Refuse a partitioned method for a field that is not partitioned.

    Args:
        integrator: The integrator.
        field: The field, or its config.
        name: Name of the field in the message.

    Raises:
        ConfigError: if the integrator needs a separable field, and this field is not separable.
    """
    if not integrator.is_partitioned or field.is_separable:
        return
    raise ConfigError(
        f"integrator {integrator.choice} is a partitioned method, so it needs a partitioned "
        f"field (q, p): kind=hamiltonian, two_layer_hamiltonian, "
        f"second_order without sees_velocity, or depth_adaptive over one of them; got field "
        f"{name}; use one of these fields, or another integrator, for instance kind=euler or rk4"
    )


class SeparableConfig(StagedConfig):
    """A symplectic method for partitioned fields."""

    kind: SeparableKind

    def build(self) -> SeparableMethod:
        """Make the integrator."""
        return SeparableMethod(self.remat, self.kind)
