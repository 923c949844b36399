"""Options of a batch norm before or after an affine map."""

from typing import Literal

from flax import nnx
from pydantic import Field, PositiveFloat, model_validator

from odenet.fields.layers import NORM_EPSILON, NORM_MOMENTUM, BatchNorm
from odenet.part import PartConfig


class NormedConfig(PartConfig):
    """Base of the configs of parts that may have a batch norm."""

    norm: Literal["none", "batch"] = "none"
    """The normalisation of the channels."""
    norm_epsilon: PositiveFloat | None = None
    """Added to the variances; default: 1e-5."""
    momentum: float | None = Field(default=None, gt=0, le=1)
    """Weight of the batch in the update of the running statistics; default: 0.1."""

    @model_validator(mode="after")
    def _norm_has_options(self):
        for name in ("norm_epsilon", "momentum"):
            if self.norm == "none" and getattr(self, name) is not None:
                raise ValueError(f"norm=none would ignore {name}; remove it, or use norm=batch")
        return self

    @property
    def has_batch_norm(self) -> bool:
        """Whether there is a batch norm."""
        return self.norm == "batch"

    def build_norm(self, width: int, *, rngs: nnx.Rngs) -> BatchNorm | None:
        """Make the batch norm of `width` channels, or None."""
        if self.norm == "none":
            return None
        epsilon, momentum = self.norm_epsilon or NORM_EPSILON, self.momentum or NORM_MOMENTUM
        return BatchNorm(width, epsilon, momentum, rngs=rngs)

    def _refuse_idle_bias(self, bias: bool) -> None:
        if self.norm == "batch" and bias:
            raise ValueError("norm=batch would cancel the bias before it; set bias to false")
