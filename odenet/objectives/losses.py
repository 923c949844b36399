"""Losses per example: what is minimised, before it is averaged and penalised."""

import dataclasses
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import optax
from pydantic import Field

from odenet.arrays import Array, Float, Int
from odenet.objectives.regularisers import RegulariserConfigs
from odenet.part import PartConfig

PerExample = dict[str, Float[Array, " batch"]]


@dataclasses.dataclass(frozen=True)
class CrossEntropy:
    r"""$-\sum_c q_c \log p_c$ with $p$ the softmax of the logits.

    Args:
        label_smoothing: `s`; the target `q` is `1 - s` on the label plus `s / num_classes`
            everywhere (Szegedy et al. 2016, arXiv:1512.00567, sec. 7).
    """

    label_smoothing: float = 0.0

    def __call__(
        self, outputs: Float[Array, "batch classes"], targets: Int[Array, " batch"]
    ) -> PerExample:
        """`loss` in nats and `accuracy` (0 or 1), each of shape `(batch,)`."""
        labels = jax.nn.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype)
        smoothed = optax.smooth_labels(labels, self.label_smoothing)
        return {
            "loss": optax.softmax_cross_entropy(outputs, smoothed),
            "accuracy": (jnp.argmax(outputs, axis=-1).astype(targets.dtype) == targets).astype(
                outputs.dtype
            ),
        }


@dataclasses.dataclass(frozen=True)
class MeanSquaredError:
    """Mean of the squared differences over the outputs of an example."""

    def __call__(
        self, outputs: Float[Array, "batch outputs"], targets: Float[Array, "batch outputs"]
    ) -> PerExample:
        """`loss`, of shape `(batch,)`."""
        return {"loss": jnp.mean(jnp.square(outputs - targets.astype(outputs.dtype)), axis=-1)}


class RegularisedConfig(PartConfig):
    """What the configs of all losses share."""

    regularisers: RegulariserConfigs = ()
    """What is added to the loss in training, integrated along the depth: `kinetic`, `jacobian`,
    `taylor`; and `steer`, a random end of the depth."""


class CrossEntropyConfig(RegularisedConfig):
    """Cross entropy of a softmax, for classifiers."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)

    def build(self) -> CrossEntropy:
        """Make the loss."""
        return CrossEntropy(self.label_smoothing)


class MeanSquaredErrorConfig(RegularisedConfig):
    """Mean squared error, for regressors."""

    kind: Literal["mean_squared_error"] = "mean_squared_error"

    def build(self) -> MeanSquaredError:
        """Make the loss."""
        return MeanSquaredError()


LossConfig = Annotated[CrossEntropyConfig | MeanSquaredErrorConfig, Field(discriminator="kind")]
