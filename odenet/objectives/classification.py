"""Losses of classifiers, of logits and labels."""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from pydantic import Field, PositiveFloat

from odenet.arrays import Array, Float, Int
from odenet.models import Outputs
from odenet.objectives.loss import Loss, ObjectiveConfig, PerExample

LOGITS: frozenset[Outputs] = frozenset({"logits"})


def accuracy(
    outputs: Float[Array, "batch classes"], targets: Int[Array, " batch"]
) -> Float[Array, " batch"]:
    """1 where the largest logit is that of the label, else 0."""
    return (jnp.argmax(outputs, axis=-1).astype(targets.dtype) == targets).astype(outputs.dtype)


@dataclasses.dataclass(frozen=True)
class CrossEntropy(Loss):
    r"""$-\sum_c q_c \log p_c$ with $p$ the softmax of the logits.

    The reported loss is without label smoothing: $q$ is one on the label. With label smoothing,
    training minimises `smoothed_loss`, whose minimum is above 0: 0.50 for `s = 0.1` and ten
    classes.

    Args:
        label_smoothing: `s`; the target `q` is `1 - s` on the label plus `s / num_classes`
            everywhere (Szegedy et al. 2016, arXiv:1512.00567, sec. 7).
    """

    label_smoothing: float = 0.0

    def __call__(
        self, outputs: Float[Array, "batch classes"], targets: Int[Array, " batch"]
    ) -> PerExample:
        """`loss` in nats, `accuracy` (0 or 1), and `smoothed_loss` if labels are smoothed."""
        labels = jax.nn.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype)
        scores = {
            "loss": optax.softmax_cross_entropy(outputs, labels),
            "accuracy": accuracy(outputs, targets),
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
class Hinge(Loss):
    r"""$\max(0, \max_{c \neq y} (m + z_c - z_y))$ of the logits $z$ with the label $y$.

    Zero if the logit of the label exceeds every other logit by the margin $m$ (Crammer and Singer
    2001, JMLR 2:265-292).

    Args:
        margin: $m$, positive.
    """

    margin: float = 1.0

    def __call__(
        self, outputs: Float[Array, "batch classes"], targets: Int[Array, " batch"]
    ) -> PerExample:
        """`loss` and `accuracy` (0 or 1)."""
        others = 1 - jax.nn.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype)
        own = jnp.take_along_axis(outputs, targets[:, None], axis=-1)
        # At the label this is 0, so the maximum is at least 0.
        loss = jnp.max(outputs + self.margin * others - own, axis=-1)
        return {"loss": loss, "accuracy": accuracy(outputs, targets)}


@dataclasses.dataclass(frozen=True)
class Brier(Loss):
    r"""$\sum_c (p_c - q_c)^2$ with $p$ the softmax of the logits and $q$ one on the label.

    Between 0 and 2, also for a label of predicted probability 0 (Brier 1950).
    """

    def __call__(
        self, outputs: Float[Array, "batch classes"], targets: Int[Array, " batch"]
    ) -> PerExample:
        """`loss` and `accuracy` (0 or 1)."""
        labels = jax.nn.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype)
        loss = jnp.sum(jnp.square(jax.nn.softmax(outputs) - labels), axis=-1)
        return {"loss": loss, "accuracy": accuracy(outputs, targets)}


class CrossEntropyConfig(ObjectiveConfig):
    """Cross entropy of a softmax, for classifiers."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the target that is spread over all classes in training. The reported `loss` is
    without smoothing; training minimises the metric `smoothed_loss`."""

    fits: ClassVar[frozenset[Outputs]] = LOGITS

    def build(self) -> CrossEntropy:
        """Make the loss."""
        return CrossEntropy(self.label_smoothing)


class HingeConfig(ObjectiveConfig):
    """Multi-class hinge loss, for classifiers (Crammer and Singer 2001)."""

    kind: Literal["hinge"] = "hinge"
    margin: PositiveFloat = 1.0
    """Margin of the label's logit above all others from which the loss is 0."""

    fits: ClassVar[frozenset[Outputs]] = LOGITS

    def build(self) -> Hinge:
        """Make the loss."""
        return Hinge(self.margin)


class BrierConfig(ObjectiveConfig):
    """Squared error of the class probabilities, for classifiers (Brier 1950)."""

    kind: Literal["brier"] = "brier"

    fits: ClassVar[frozenset[Outputs]] = LOGITS

    def build(self) -> Brier:
        """Make the loss."""
        return Brier()
