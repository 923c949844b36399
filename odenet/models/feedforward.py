"""The plain network of the same field and width, without skip connections: a control."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import PositiveInt, model_validator

from odenet.arrays import State
from odenet.depth.weights import FieldStack
from odenet.fields import MLPFieldConfig, VectorFieldConfig
from odenet.fields.base import BranchConfig
from odenet.integrators import Integration, SolverStats
from odenet.integrators.state_types import checked_state
from odenet.models.along import Along
from odenet.models.base import Block, BlockConfig
from odenet.models.discretisation import AS_TRAINED, Discretisation
from odenet.models.eager import call_compiled


class FeedForwardBlock(Block):
    """$h_{k} = f(h_{k-1}; \\theta_k)$: the layers of a residual network without `h + ...`.

    Args:
        weights: The map of every layer.
    """

    def __init__(self, weights: FieldStack):
        self.weights = weights

    def layer_weights(self) -> Any:
        """Weights of every layer, a tree with a leading axis `num_layers`."""
        return self.weights.of_layers()

    def __call__(
        self,
        h0: Any,
        discretisation: Discretisation = AS_TRAINED,
        *,
        save_path: bool = False,
        live: bool = False,
        along: Along | None = None,
    ) -> Integration:
        """Apply the layers to `h0`, shape `(batch, *state)`; `nfe` is their number.

        Raises:
            StateTypeError: if the states are integers.
            ConfigError: if something is asked for that only an ODE has.
        """
        del live
        self.refuse_as_ode(discretisation, along)
        return call_compiled(FeedForwardBlock._apply, self, checked_state(h0), save_path)

    def _apply(self, h0: State, save_path: bool) -> Integration:
        fields = self.weights.fields().prepared(h0)
        time = jnp.zeros((), h0.dtype)

        def layer(h, params):
            h = fields.apply(params, time, h)
            return h, h if save_path else None

        h1, states = jax.lax.scan(layer, h0, fields.params)
        path = None if states is None else jnp.concatenate([h0[None], states])
        return Integration(h1, path, SolverStats.of(fields.num_layers, fields.num_layers))


class FeedForwardBlockConfig(BlockConfig):
    """A block of plain layers, without skip connections; it is not a discretised ODE."""

    kind: Literal["feedforward"] = "feedforward"
    field: VectorFieldConfig = MLPFieldConfig()
    """What one layer computes."""
    num_layers: PositiveInt = 8

    @property
    def summary(self) -> str:
        """What the block is, in a line."""
        return f"{self.num_layers} feed-forward layers, {self.field.kind}"

    @model_validator(mode="after")
    def _has_no_branch(self):
        if not isinstance(self.field, BranchConfig):
            raise ValueError(
                f"field kind={self.field.kind} says how a state moves in time, and a feed-forward "
                f"layer has no time; use its inner field, kind=mlp or conv say"
            )
        if self.field.last_init != "as_drawn":
            raise ValueError(
                f"field.last_init={self.field.last_init} acts on the branch beside the identity, "
                f"and a feed-forward layer has no identity: its signal would vanish; use last_init="
                f"as_drawn"
            )
        if self.field.kind == "dense":
            raise ValueError(
                "field.kind=dense adds features to those before, and a feed-forward block keeps "
                "none; use block.kind=depth"
            )
        if self.field.kind == "residual":
            raise ValueError(
                "a feed-forward block does not carry the statistics of batch norms; use field "
                "kind=conv with group norm, or kind=mlp"
            )
        return self

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> FeedForwardBlock:
        """Make the block for states of `shape` (one example's)."""
        self.field.check(shape)
        return FeedForwardBlock(
            FieldStack(
                lambda takes_time, rngs: self.field.build(shape, takes_time, rngs=rngs),
                self.num_layers,
                False,
                rngs=rngs,
            )
        )
