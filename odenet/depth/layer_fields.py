"""The vector fields of all layers in functional form, the input of integrators."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from odenet.arrays import State, Time
from odenet.errors import ConfigError


def _mean_over_steps(statistics: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=1), statistics)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LayerFields:
    """The vector fields of all layers in functional form, the input of integrators.

    Args:
        apply: `apply(params, t, h) -> dh/dt` with the (prepared) parameters of one layer.
        params: Parameters of every layer; each array has a leading axis `num_layers`.
        num_layers: Number of sets of weights.
        prepare: `prepare(params, h) -> prepared` computes arrays that depend only on the weights of
            a layer and on the shape of the state; None without such arrays.
        uses_batch_statistics: Whether `apply` normalises by batch statistics, and returns
            `(dh/dt, statistics)` with the updated running statistics.
        collect: From the statistics of all steps, with leading axes
            `(num_layers, steps_per_layer)`, to the updated running statistics.
        takes_start: Whether the fields also depend on the initial state; the signature is then
            `apply(params, start, t, h)`.
        initial_state: The initial state, once it is known.
    """

    apply: Callable[..., Any] = dataclasses.field(metadata={"static": True})
    params: Any
    num_layers: int = dataclasses.field(metadata={"static": True})
    prepare: Callable[[Any, State], Any] | None = dataclasses.field(
        metadata={"static": True}, default=None
    )
    uses_batch_statistics: bool = dataclasses.field(metadata={"static": True}, default=False)
    collect: Callable[[Any], Any] = dataclasses.field(
        metadata={"static": True}, default=_mean_over_steps
    )
    takes_start: bool = dataclasses.field(metadata={"static": True}, default=False)
    initial_state: tuple[State, ...] = ()

    def field(self, params: Any) -> Callable[[Time, State], Any]:
        """The field with the (prepared) parameters of one layer, as a pytree."""
        return jax.tree_util.Partial(self.apply, params, *self.initial_state)

    def from_start(self, h0: State) -> "LayerFields":
        """The same fields for a solve that starts at `h0`."""
        return dataclasses.replace(self, initial_state=(h0,)) if self.takes_start else self

    def prepared(self, h: State) -> "LayerFields":
        """The same fields after `prepare`, which runs once for every layer.

        Args:
            h: A state of the shape and type of later evaluations.
        """
        prepare = self.prepare
        if prepare is None:
            return self
        params = jax.vmap(lambda params: prepare(params, h))(self.params)
        return dataclasses.replace(self, params=params, prepare=None)

    def restrict(self, num_layers: int) -> "LayerFields":
        """Keep the first of every `self.num_layers / num_layers` layers (injection).

        A grid with fewer steps than layers samples piecewise-constant weights at the left end of
        its steps, as explicit Euler does.

        Raises:
            ConfigError: if `num_layers` does not divide the number of layers.
        """
        if self.num_layers % num_layers:
            raise ConfigError(
                f"{self.num_layers} layers cannot be sampled by {num_layers} equal steps; "
                f"use a divisor of {self.num_layers}"
            )
        stride = self.num_layers // num_layers
        if stride == 1:
            return self
        params = jax.tree.map(lambda leaf: leaf[::stride], self.params)
        return dataclasses.replace(self, params=params, num_layers=num_layers)

    @staticmethod
    def from_function(field: Callable[[Time, State], State]) -> "LayerFields":
        """One layer without parameters: any function `field(t, h)`."""
        return LayerFields(lambda params, t, h: field(t, h), (), 1)
