"""The contract of a model's configuration."""

import abc
from typing import Any, ClassVar, Literal

from flax import nnx

from odenet.models.base import BlockConfig
from odenet.part import PartConfig

Outputs = Literal["logits", "values"]
"""Logits of classes, or vectors of real numbers."""


class ModelConfig(PartConfig, abc.ABC, family="model"):
    """Base of the configuration of every model."""

    kind: str

    outputs: ClassVar[Outputs] = "values"
    """What the model gives for an example: one logit for each class, or real values."""

    @property
    def is_classifier(self) -> bool:
        """Whether outputs are logits of classes."""
        return self.outputs == "logits"

    @property
    @abc.abstractmethod
    def has_batch_norm(self) -> bool:
        """Whether any part has batch statistics."""

    @property
    @abc.abstractmethod
    def blocks(self) -> list[BlockConfig]:
        """The block of every stage."""

    @property
    def resnet(self) -> Any:
        """The options of kind=resnet, whose arrays published files name, or None."""
        return None

    @abc.abstractmethod
    def expanded(self) -> Any:
        """The network with stem, stages and head written out."""

    @abc.abstractmethod
    def check_trainable(self, *, training: bool) -> None:
        """Refuse what can be evaluated, but not trained.

        Args:
            training: Whether training uses the batch statistics of each batch.

        Raises:
            ConfigError: naming the stage.
        """

    @abc.abstractmethod
    def build(self, input_shape: tuple[int, ...], num_outputs: int, *, rngs: nnx.Rngs) -> Any:
        """Make the network for inputs of `input_shape` (one example's).

        Raises:
            ConfigError: naming the stage, if shapes do not fit.
        """
