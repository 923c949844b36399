"""The contract of a loss: of every example, what is minimised and what is reported."""

import abc
from typing import ClassVar

from odenet.arrays import Array, Float
from odenet.models import Outputs
from odenet.objectives.regularisers import RegulariserConfigs
from odenet.part import PartConfig

PerExample = dict[str, Float[Array, " batch"]]


class Loss(abc.ABC):
    """Losses and scores of every example, and which of them training minimises."""

    @property
    def minimised(self) -> str:
        """Name of the loss that training minimises; `loss` is what is reported."""
        return "loss"

    @abc.abstractmethod
    def __call__(self, outputs: Array, targets: Array) -> PerExample:
        """Losses and scores by name, each of shape `(batch,)`; `loss` is one of them."""


class ObjectiveConfig(PartConfig, abc.ABC, family="objective"):
    """What is minimised: the mean of a loss over the examples, and regularisers."""

    kind: str
    regularisers: RegulariserConfigs = ()
    """What is added to the loss in training, integrated along the depth: `kinetic`, `jacobian`,
    `taylor`; and `steer`, a random end of the depth."""

    fits: ClassVar[frozenset[Outputs]] = frozenset({"logits", "values"})
    """Outputs of a model that the loss is one of: `logits` of classes, whose targets are labels of
    shape `(batch,)`; `values`, whose targets are vectors of the same shape `(batch, outputs)`."""

    @abc.abstractmethod
    def build(self) -> Loss:
        """Make the loss."""
