"""Losses per example: what is minimised, before it is averaged and penalised."""

import abc
import dataclasses
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp
import optax
from pydantic import Field

from odenet.arrays import Array, Float, Int
from odenet.objectives.regularisers import RegulariserConfigs
from odenet.part import PartConfig

PerExample = dict[str, Float[Array, " batch"]]


class Loss(Protocol):
    """Losses and scores of every example, and which of them training minimises."""

    @property
    def minimised(self) -> str:
        """Name of the loss that training minimises; `loss` is what is reported."""
        ...

    def __call__(self, outputs: Array, targets: Array) -> PerExample:
        """Losses and scores by name, each of shape `(batch,)`."""
        ...


@dataclasses.dataclass(frozen=True)
class CrossEntropy:
    r"""$-\sum_c q_c \log p_c$ with $p$ the softmax of the logits.

    The loss that is reported has all of $q$ on the label. With label smoothing, training minimises
    `smoothed_loss`, which is above 0 for the best of networks: 0.50 for `s = 0.1` and ten classes.

    Args:
        label_smoothing: `s`; the target `q` is `1 - s` on the label plus `s / num_classes`
            everywhere (Szegedy et al. 2016, arXiv:1512.00567, sec. 7).
    """

    label_smoothing: float = 0.0

    def __call__(
        self, outputs: Float[Array, "batch classes"], targets: Int[Array, " batch"]
    ) -> PerExample:
        """`loss` in nats, `accuracy` (0 or 1), and `smoothed_loss` where labels are smoothed."""
        labels = jax.nn.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype)
        scores = {
            "loss": optax.softmax_cross_entropy(outputs, labels),
            "accuracy": (jnp.argmax(outputs, axis=-1).astype(targets.dtype) == targets).astype(
                outputs.dtype
            ),
        }
        if self.label_smoothing:
            smoothed = optax.smooth_labels(labels, self.label_smoothing)
            scores["smoothed_loss"] = optax.softmax_cross_entropy(outputs, smoothed)
        return scores

    @property
    def minimised(self) -> str:
        """Name of the loss that training minimises."""
        return "smoothed_loss" if self.label_smoothing else "loss"


@dataclasses.dataclass(frozen=True)
class MeanSquaredError:
    """Mean of the squared differences over the outputs of an example."""

    @property
    def minimised(self) -> str:
        """Name of the loss that training minimises."""
        return "loss"

    def __call__(
        self, outputs: Float[Array, "batch outputs"], targets: Float[Array, "batch outputs"]
    ) -> PerExample:
        """`loss`, of shape `(batch,)`."""
        return {"loss": jnp.mean(jnp.square(outputs - targets.astype(outputs.dtype)), axis=-1)}


class ObjectiveConfig(PartConfig, abc.ABC, family="objective"):
    """Base of the configuration of everything that can be minimised."""

    kind: str
    regularisers: RegulariserConfigs = ()
    """What is added to the loss in training, integrated along the depth: `kinetic`, `jacobian`,
    `taylor`; and `steer`, a random end of the depth."""

    @abc.abstractmethod
    def build(self) -> Any:
        """Make the loss, a `Loss`."""


class CrossEntropyConfig(ObjectiveConfig):
    """Cross entropy of a softmax, for classifiers."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Part of the target that is spread over all classes, in training. Reported losses are those of
    the labels themselves; the metric `smoothed_loss` is what is minimised."""

    def build(self) -> CrossEntropy:
        """Make the loss."""
        return CrossEntropy(self.label_smoothing)


class MeanSquaredErrorConfig(ObjectiveConfig):
    """Mean squared error, for regressors."""

    kind: Literal["mean_squared_error"] = "mean_squared_error"

    def build(self) -> MeanSquaredError:
        """Make the loss."""
        return MeanSquaredError()
