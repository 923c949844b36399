"""Fixed step sizes."""

from typing import Annotated, Literal

import jax.numpy as jnp
import numpy as np
from pydantic import Field, PositiveFloat, model_validator

from odenet.arrays import StepSizes
from odenet.depth.refine import refined_taus
from odenet.depth.step_sizes.base import (
    AbstractStepSizes,
    MovedStepSizes,
    StepSizeParams,
    StepSizesConfig,
)


class FixedStepSizes(AbstractStepSizes):
    """Fixed step sizes.

    Args:
        values: One finite step size per step, in order.
    """

    def __init__(self, values: tuple[float, ...]):
        self.values = values

    def taus(self) -> StepSizes:
        """The step sizes, shape `(num_steps,)`, in the default float type."""
        return jnp.asarray(self.values, dtype=float)


class FixedStepSizesConfig(StepSizesConfig):
    """Fixed step sizes, by one value, by a list, or by an equally divided horizon."""

    kind: Literal["fixed"] = "fixed"
    tau: float | None = Field(default=None, allow_inf_nan=False)
    """One step size for every step; 1 makes each step the residual layer of He et al. 2015."""
    taus: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] | None = None
    """One step size for every step, in order."""
    horizon: PositiveFloat | None = Field(default=None, allow_inf_nan=False)
    """Length of the depth axis, divided equally."""

    @model_validator(mode="after")
    def _one_rule(self):
        given = [name for name in ("tau", "taus", "horizon") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(
                f"fixed step sizes need at most one of tau, taus and horizon; got {given}; keep one"
            )
        return self

    @property
    def rule(self) -> str:
        """Name of the rule: `fixed`."""
        return self.kind

    @property
    def stays_positive(self) -> bool:
        """Whether every step size is above 0."""
        return all(tau > 0 for tau in self.taus or (self._each,))

    @property
    def follows_horizon(self) -> bool:
        """Whether the horizon is fixed and divided equally by any number of steps."""
        return self.horizon is not None

    @property
    def num_listed(self) -> int | None:
        """The length of the list, or None without one."""
        return None if self.taus is None else len(self.taus)

    @property
    def _each(self) -> float:
        return 1.0 if self.tau is None else self.tau

    def start_horizon(self, num_steps: int) -> float:
        """The sum of the step sizes."""
        return float(sum(self.known(num_steps)))

    def known(self, num_steps: int) -> tuple[float, ...]:
        """The step sizes; without options, each is 1."""
        if self.taus is not None:
            if len(self.taus) != num_steps:
                raise ValueError(
                    f"taus needs one value per step: num_steps is {num_steps}, "
                    f"got {len(self.taus)} values"
                )
            return self.taus
        each = self._each if self.horizon is None else self.horizon / num_steps
        return (each,) * num_steps

    def build(self, num_steps: int) -> FixedStepSizes:
        """Make the step sizes of a block of `num_steps` steps; without options, `tau` is 1."""
        return FixedStepSizes(self.known(num_steps))

    def moved(self, num_steps: int, new: int, params: StepSizeParams) -> MovedStepSizes:
        """The same depth axis with another number of steps."""
        del params
        changes = {}
        if self.taus is not None:
            changes = {"taus": tuple(refined_taus(np.asarray(self.taus), new).tolist())}
        elif self.horizon is None:
            changes = {"tau": self._each * num_steps / new}
        return MovedStepSizes(self.model_copy(update=changes) if changes else self)

    def divided(self, num_units: int) -> tuple["FixedStepSizesConfig", "FixedStepSizesConfig"]:
        """Options for the first unit, and for the others."""
        if self.taus is not None:
            parts = {"taus": self.taus[:1]}, {"taus": self.taus[1:]}
        elif self.horizon is not None:
            each = self.horizon / num_units
            parts = {"horizon": each}, {"horizon": self.horizon - each}
        else:
            return self, self
        first, others = (self.model_copy(update=part) for part in parts)
        return first, others
