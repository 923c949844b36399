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
    """The outputs of the model: one logit for each class, or real values."""

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
        """The options of kind=resnet, which can load published weights, or None."""
        return None

    @abc.abstractmethod
    def expanded(self) -> Any:
        """The network as an explicit list of stem, stages and head."""

    @abc.abstractmethod
    def check_trainable(self, *, training: bool) -> None:
        """Refuse a model that can be evaluated, but not trained.

        Args:
            training: Whether training uses batch statistics.

        Raises:
            ConfigError: naming the stage.
        """

    @abc.abstractmethod
    def build(self, input_shape: tuple[int, ...], num_outputs: int, *, rngs: nnx.Rngs) -> Any:
        """Make the network for inputs of `input_shape` (one example's).

        Raises:
            ConfigError: naming the stage, if shapes do not fit.
        """
