"""Losses of regressors, of output vectors and target vectors."""

import dataclasses
from typing import ClassVar, Literal

import jax.numpy as jnp
import optax
from pydantic import Field

from odenet.arrays import Array, Float
from odenet.models import Outputs
from odenet.objectives.loss import Loss, ObjectiveConfig, PerExample

VALUES: frozenset[Outputs] = frozenset({"values"})


@dataclasses.dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Mean of the squared differences over the outputs of an example."""

    def __call__(
        self, outputs: Float[Array, "batch outputs"], targets: Float[Array, "batch outputs"]
    ) -> PerExample:
        """`loss`, of shape `(batch,)`."""
        return {"loss": jnp.mean(jnp.square(outputs - targets.astype(outputs.dtype)), axis=-1)}


@dataclasses.dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """Mean of the absolute differences over the outputs of an example."""

    def __call__(
        self, outputs: Float[Array, "batch outputs"], targets: Float[Array, "batch outputs"]
    ) -> PerExample:
        """`loss`, of shape `(batch,)`."""
        return {"loss": jnp.mean(jnp.abs(outputs - targets.astype(outputs.dtype)), axis=-1)}


@dataclasses.dataclass(frozen=True)
class Huber(Loss):
    r"""Mean over the outputs of $d^2 / 2$ for $|d| \le \delta$, else $\delta (|d| - \delta / 2)$.

    $d$ is the difference of output and target (Huber 1964).

    Args:
        delta: $\delta$, positive, in units of the targets.
    """

    delta: float = 1.0

    def __call__(
        self, outputs: Float[Array, "batch outputs"], targets: Float[Array, "batch outputs"]
    ) -> PerExample:
        """`loss`, of shape `(batch,)`."""
        each = optax.huber_loss(outputs, targets.astype(outputs.dtype), delta=self.delta)
        return {"loss": jnp.mean(each, axis=-1)}


class MeanSquaredErrorConfig(ObjectiveConfig):
    """Mean squared error, for regressors."""

    kind: Literal["mean_squared_error"] = "mean_squared_error"

    fits: ClassVar[frozenset[Outputs]] = VALUES

    def build(self) -> MeanSquaredError:
        """Make the loss."""
        return MeanSquaredError()


class MeanAbsoluteErrorConfig(ObjectiveConfig):
    """Mean absolute error, for regressors: the gradient does not grow with the error."""

    kind: Literal["mean_absolute_error"] = "mean_absolute_error"

    fits: ClassVar[frozenset[Outputs]] = VALUES

    def build(self) -> MeanAbsoluteError:
        """Make the loss."""
        return MeanAbsoluteError()


class HuberConfig(ObjectiveConfig):
    """Huber loss, for regressors: quadratic for small errors, linear for large ones."""

    kind: Literal["huber"] = "huber"
    delta: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Error at the transition from quadratic to linear, in units of the targets."""

    fits: ClassVar[frozenset[Outputs]] = VALUES

    def build(self) -> Huber:
        """Make the loss."""
        return Huber(self.delta)
