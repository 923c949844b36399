"""The contract of a loss: minimised and reported values of every example."""

import abc
from typing import ClassVar

from odenet.arrays import Array, Float
from odenet.models import Outputs
from odenet.objectives.regularisers import RegulariserConfigs
from odenet.part import PartConfig

PerExample = dict[str, Float[Array, " batch"]]


class Loss(abc.ABC):
    """Losses and scores of every example, and the name of the minimised loss."""

    @property
    def minimised(self) -> str:
        """Name of the loss that training minimises; the reported loss is `loss`."""
        return "loss"

    @abc.abstractmethod
    def __call__(self, outputs: Array, targets: Array) -> PerExample:
        """Losses and scores by name, each of shape `(batch,)`; `loss` is one of them."""


class ObjectiveConfig(PartConfig, abc.ABC, family="objective"):
    """The training objective: the mean of a loss over the examples, plus regularisers."""

    kind: str
    regularisers: RegulariserConfigs = ()
    """Regularisers in training: the path integrals `kinetic`, `jacobian`, `taylor`, and `steer`, a
    random end time."""

    fits: ClassVar[frozenset[Outputs]] = frozenset({"logits", "values"})
    """Model outputs that the loss accepts: `logits` of classes, with targets that are labels of
    shape `(batch,)`; `values`, with targets that are vectors of shape `(batch, outputs)`."""

    @abc.abstractmethod
    def build(self) -> Loss:
        """Make the loss."""
