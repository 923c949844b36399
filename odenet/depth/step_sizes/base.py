"""The contract of step sizes, and their transfer to another grid."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from flax import nnx

from odenet.arrays import Int, Scalar, StepSizes
from odenet.depth.refine import Transfer
from odenet.errors import ConfigError
from odenet.part import PartConfig

StepSizeParams = Mapping[str, np.ndarray]
"""The parameters of one block's step sizes by attribute name; empty for fixed step sizes."""


class AbstractStepSizes(nnx.Module):
    """The step sizes of one block.

    Learned parameters are attributes of type `nnx.Param`.
    """

    @property
    def is_learned(self) -> bool:
        """Whether training changes them: whether there is an `nnx.Param`."""
        return bool(nnx.state(self, nnx.Param))

    def taus(self) -> StepSizes:
        """The step sizes, shape `(num_steps,)`, differentiable with respect to the parameters."""
        raise NotImplementedError  # pragma: no cover - every class defines it

    def penalty(self) -> Scalar:
        """The penalty on the step sizes in the objective, a scalar; default: zero."""
        return jnp.zeros((), dtype=float)


@dataclasses.dataclass(frozen=True)
class MovedStepSizes:
    """Step sizes on another grid.

    Attributes:
        config: Their configuration.
        params: Their parameters; empty if unchanged, or if the step sizes are fixed.
        moves: For each parameter, the Jacobian of the new by the old parameters, for the transfer
            of the optimiser's moments.
    """

    config: Any
    params: StepSizeParams = dataclasses.field(default_factory=dict)
    moves: Mapping[str, Transfer] = dataclasses.field(default_factory=dict)


class StepSizesConfig(PartConfig, abc.ABC, family="step_sizes"):
    """Options and properties of the step sizes of a block.

    A new kind must define `build` alone, and set `is_learned` if training changes its step sizes.
    Refinement, division and pruning are refused unless it defines them.
    """

    kind: str

    is_learned: ClassVar[bool] = False
    """Whether training changes the step sizes."""

    @property
    def rule(self) -> str:
        """Name of the map from parameters to step sizes, for messages and comparison.

        Equal parameters under equal rules give equal step sizes, up to the horizon.
        """
        return self.kind

    @property
    def stays_positive(self) -> bool:
        """Whether every step size is above 0 for all parameters."""
        return False

    @property
    def keeps_sum(self) -> bool:
        """Whether the step sizes sum to the horizon for all parameters."""
        return False

    @property
    def follows_horizon(self) -> bool:
        """Whether the horizon is fixed and divided equally by any number of steps."""
        return False

    @property
    def num_listed(self) -> int | None:
        """The only number of steps that the options allow, or None for any."""
        return None

    @property
    def least_steps(self) -> int:
        """The smallest number of steps that the options allow."""
        return 1

    @property
    def kept_whole(self) -> str | None:
        """The reason why layers cannot be pruned by step size, or None if they can."""
        if not self.is_learned:
            return "its step sizes are fixed"
        return f"step_sizes.kind={self.kind} has no rule for it"

    def start_horizon(self, num_steps: int) -> float:
        """The sum of the step sizes of a block of `num_steps` steps before training."""
        return float(np.sum(np.asarray(self.build(num_steps).taus(), np.float64)))

    @abc.abstractmethod
    def build(self, num_steps: int) -> AbstractStepSizes:
        """Make the step sizes of a block of `num_steps` steps.

        Raises:
            ValueError: if the options do not allow `num_steps`.
        """

    def known(self, num_steps: int) -> tuple[float, ...] | None:
        """The step sizes if they are fixed, or None.

        Raises:
            ValueError: if the options do not allow `num_steps`.
        """
        del num_steps
        return None

    def with_params(self, num_steps: int, params: StepSizeParams) -> AbstractStepSizes:
        """The step sizes at given parameters; without parameters, the initial step sizes."""
        sizes = self.build(num_steps)
        for name, value in params.items():
            vars(sizes)[name][...] = jnp.asarray(value)
        return sizes

    def moved(self, num_steps: int, new: int, params: StepSizeParams) -> MovedStepSizes:
        """The same depth axis with another number of steps (see `refined_taus`).

        Args:
            num_steps: The current number.
            new: The new number, at least `least_steps`.
            params: The current parameters; empty for the initial ones.

        Raises:
            ConfigError: if this kind of step sizes has no transfer.
        """
        del num_steps, new, params
        raise ConfigError(f"step_sizes.kind={self.kind} has no rule for another number of steps")

    def divided(self, num_units: int) -> tuple[Any, Any]:
        """Options for the first of `num_units` units, at least 2, and for the others.

        Every unit starts with the step size of its position in the whole stage; a penalty on the
        horizon becomes a penalty on each part.

        Raises:
            ValueError: if the parts cannot be learned separately.
        """
        del num_units
        raise ValueError(
            f"step_sizes.kind={self.kind} has no rule for a stage whose first unit is a separate "
            f"layer; use kind=fixed or learned"
        )

    def pruned(self, num_steps: int, kept: tuple[float, ...]) -> "StepSizesConfig":
        """Options after layers were removed; requires that `kept_whole` is None.

        Args:
            num_steps: Number of steps before.
            kept: The step sizes of the remaining layers.
        """
        raise NotImplementedError(
            self.kept_whole
        )  # pragma: no cover - called only for prunable ones

    def pruned_leaf(self, leaf: np.ndarray, kept: Int[np.ndarray, " kept"]) -> np.ndarray:
        """A parameter, or a moment of it, after layers were removed.

        Args:
            leaf: The array of all steps.
            kept: Indices of the remaining steps, increasing.
        """
        return leaf[kept]

    def check_start(self, trained: "StepSizesConfig", steps: tuple[int, int]) -> None:
        """Refuse to start from parameters that give other step sizes under these options.

        Args:
            trained: The options of the trained step sizes.
            steps: Numbers of steps of the trained and of the new network.

        Raises:
            ConfigError: naming the options that preserve the step sizes.
        """
        del steps
        if trained.is_learned and not self.is_learned:
            raise ConfigError(
                "the step sizes were learned there and are fixed here, so the learned values would "
                "be lost; set step_sizes.kind=learned (training.optimizer.step_sizes."
                "learning_rate_factor=0 freezes them)"
            )
