"""Second-order dynamics: the state is a position and a velocity."""

from typing import Literal

import jax.numpy as jnp
from flax import nnx
from pydantic import model_validator

from odenet.arrays import After, Before
from odenet.errors import ConfigError
from odenet.fields.base import VectorField, VectorFieldConfig
from odenet.fields.mlp import MLPFieldConfig
from odenet.fields.wrapped import WrappedField, WrappedFieldConfig


class SecondOrderField(WrappedField):
    r"""$x' = v$, $v' = g(t, x)$ or $v' = g(t, [x; v])$, for a state $h = [x; v]$.

    As one equation $x'' = g(t, x, x')$ (Massaroli et al. 2020, arXiv:2002.08071, sec. 4; Norcliffe
    et al. 2020, arXiv:2006.07220). The last axis is partitioned into position and velocity; a
    zero-padding stem gives velocity 0 at the start.

    Args:
        inner: `g`.
        sees_velocity: Whether `g` also depends on the velocity.
    """

    def __init__(self, inner: VectorField, sees_velocity: bool):
        super().__init__(inner)
        self.sees_velocity = sees_velocity

    @property
    def is_separable(self) -> bool:
        """Whether it is partitioned: if the acceleration does not depend on the velocity."""
        return not self.sees_velocity

    def inner_input(self, h: Before) -> After:
        """The position, or position and velocity."""
        return h if self.sees_velocity else jnp.split(h, 2, axis=-1)[0]

    def output_of(self, derivative: After, h: Before) -> Before:
        """Velocity and acceleration."""
        return jnp.concatenate([jnp.split(h, 2, axis=-1)[1], derivative], axis=-1)


class SecondOrderFieldConfig(WrappedFieldConfig):
    """h'' = g(t, h) or g(t, h, h'), of a partitioned state [h; h']."""

    kind: Literal["second_order"] = "second_order"
    inner: VectorFieldConfig = MLPFieldConfig()
    """The acceleration `g`."""
    sees_velocity: bool = False
    """Whether `g` also depends on the velocity. If not, the system is partitioned and separable,
    and `symplectic_euler` and `verlet` can integrate the block."""

    @model_validator(mode="after")
    def _inner_is_a_map(self):
        if self.sees_velocity and not self.inner.is_map:
            raise ValueError(
                f"sees_velocity needs an inner field from position and velocity to acceleration, "
                f"inner.kind=mlp or conv; got {self.inner.kind}, which keeps the shape of its "
                f"input; use one of the two, or sees_velocity=false"
            )
        return self

    @property
    def is_separable(self) -> bool:
        """Whether it is partitioned: if the acceleration does not depend on the velocity."""
        return not self.sees_velocity

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a state of `shape` (one example's) whose partition does not fit the inner field.

        Raises:
            ConfigError: if the last axis is odd, or the inner field does not fit.
        """
        if shape[-1] % 2:
            raise ConfigError(
                f"field kind={self.kind} splits the last axis of its state into position and "
                f"velocity, so its size must be even; got shape {shape}; use an even width, for "
                f"example by a stem of kind=zero_pad (initial velocity zero)"
            )
        self.inner.check((*shape[:-1], shape[-1] // 2))

    def build(
        self,
        shape: tuple[int, ...],
        takes_time: bool,
        *,
        depth: int | None = None,
        rngs: nnx.Rngs,
    ) -> SecondOrderField:
        """Make the field of one of `depth` layers for states of `shape` (one example's)."""
        self.check(shape)
        half = shape[-1] // 2
        if self.sees_velocity:
            inner = self.inner.build_map(shape, half, takes_time, depth=depth, rngs=rngs)
        else:
            inner = self.inner.build((*shape[:-1], half), takes_time, depth=depth, rngs=rngs)
        return SecondOrderField(inner, self.sees_velocity)
