"""The plain network of the same field and width, without skip connections: a baseline."""

from typing import Literal

from flax import nnx
from pydantic import PositiveInt, model_validator

from odenet.depth.weights import FieldStack
from odenet.fields import MLPFieldConfig, VectorField, VectorFieldConfig
from odenet.models.base import BlockConfig
from odenet.models.layer_stack import FeedForwardBlock as FeedForwardBlock


class FeedForwardBlockConfig(BlockConfig):
    """A block of plain layers, without skip connections; it is not a discretised ODE."""

    kind: Literal["feedforward"] = "feedforward"
    field: VectorFieldConfig = MLPFieldConfig()
    """The map of a layer."""
    num_layers: PositiveInt = 8

    @property
    def summary(self) -> str:
        """A description of the block in one line."""
        return f"{self.num_layers} feed-forward layers, {self.field.kind}"

    @model_validator(mode="after")
    def _field_is_a_layer(self):
        self.field.check_as_layer()
        return self

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> FeedForwardBlock:
        """Make the block for states of `shape` (one example's)."""
        self.field.check(shape)

        def make_layer(takes_time: bool, rngs: nnx.Rngs) -> VectorField:
            return self.field.check_built(self.field.build(shape, takes_time, rngs=rngs))

        return FeedForwardBlock(FieldStack(make_layer, self.num_layers, False, rngs=rngs))
