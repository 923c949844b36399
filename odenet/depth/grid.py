"""The depth axis: step sizes, the times of the grid points, and the layer of every step."""

import dataclasses

import jax
import jax.numpy as jnp

from odenet.arrays import Array, Float, Scalar, StepSizes, common_type
from odenet.errors import ConfigError


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class DepthGrid:
    """Steps of sizes `taus` over layers of equal numbers of steps.

    The layer of a step follows from its index, not from its time: step `k` belongs to layer
    `k // steps_per_layer`, independent of rounding.

    Args:
        taus: Step sizes, shape `(num_steps,)`, dimensionless, of any sign.
        num_layers: Number of sets of weights, a divisor of `num_steps`.
    """

    taus: StepSizes
    num_layers: int = dataclasses.field(metadata={"static": True}, default=1)

    @property
    def num_steps(self) -> int:
        """Number of steps."""
        return self.taus.shape[0]

    @property
    def steps_per_layer(self) -> int:
        """Number of steps that use the same weights."""
        if self.num_steps % self.num_layers:
            raise ConfigError(
                f"num_steps must be a multiple of num_layers, so that each layer takes equally "
                f"many steps; got num_steps={self.num_steps}, num_layers={self.num_layers}"
            )
        return self.num_steps // self.num_layers

    @property
    def precise_taus(self) -> StepSizes:
        """The step sizes as real numbers in float32 or a wider type, converted from their type.

        Raises:
            ConfigError: if they are complex.
        """
        taus = jnp.asarray(self.taus)
        if jnp.issubdtype(taus.dtype, jnp.complexfloating):
            raise ConfigError(
                f"step sizes are real numbers; got taus of type {taus.dtype}; use taus.real"
            )
        return taus.astype(common_type(taus.dtype, jnp.float32))

    @property
    def times(self) -> Float[Array, " num_steps_plus_1"]:
        """Times of the grid points, from 0 to the horizon, in float32 or a wider type."""
        taus = self.precise_taus
        return jnp.concatenate([jnp.zeros_like(taus[:1]), jnp.cumsum(taus)])

    @property
    def horizon(self) -> Scalar:
        """Length of the depth axis, the sum of the step sizes."""
        return jnp.sum(self.precise_taus)

    def with_num_steps(self, num_steps: int) -> "DepthGrid":
        """The same depth axis with another number of steps.

        More steps: each step is split into equal parts. Fewer: neighbouring steps are merged; if a
        step then spans several layers, `num_layers` becomes `num_steps`, and the step uses the
        weights of its first layer (see `LayerFields.restrict`).

        Args:
            num_steps: A multiple or a divisor of the current number.

        Raises:
            ConfigError: if it is neither, or if layers would take unequal numbers of steps.
        """
        old = self.num_steps
        if num_steps < 1 or (num_steps % old and old % num_steps):
            valid = [n for n in range(1, 4 * old + 1) if n % old == 0 or old % n == 0]
            near = sorted(valid, key=lambda n: abs(n - num_steps))[:3]
            raise ConfigError(
                f"the number of steps must be a multiple or a divisor of the grid's {old}, so that "
                f"steps and layers end together; got {num_steps}; nearest: {sorted(near)}"
            )
        if num_steps >= old:
            factor = num_steps // old
            return DepthGrid(jnp.repeat(self.precise_taus, factor) / factor, self.num_layers)
        taus = jnp.sum(self.precise_taus.reshape(num_steps, old // num_steps), axis=1)
        layers = min(self.num_layers, num_steps)
        if self.num_layers % layers or num_steps % layers:
            raise ConfigError(
                f"{num_steps} steps do not fit {self.num_layers} layers: each layer must take "
                f"equally many steps, or each step span equally many layers"
            )
        return DepthGrid(taus, layers)

    def per_layer(self) -> "DepthGrid":
        """The grid whose steps are the layers: one interval for each set of weights."""
        return self if self.num_layers == self.num_steps else self.with_num_steps(self.num_layers)
