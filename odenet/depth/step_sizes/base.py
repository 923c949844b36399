"""The contract of step sizes: what they are, and how they follow a change of the depth."""

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
"""The parameters of one block's step sizes by attribute name; none where nothing is learned."""


class AbstractStepSizes(nnx.Module):
    """The step sizes of one block.

    What is learned are its attributes of type `nnx.Param`.
    """

    @property
    def is_learned(self) -> bool:
        """Whether training changes them: whether there is such an attribute."""
        return bool(nnx.state(self, nnx.Param))

    def taus(self) -> StepSizes:
        """The step sizes, shape `(num_steps,)`, differentiable by the parameters."""
        raise NotImplementedError  # pragma: no cover - every class defines it

    def penalty(self) -> Scalar:
        """What the step sizes add to the objective, a scalar; zero unless a class says more."""
        return jnp.zeros((), dtype=float)


@dataclasses.dataclass(frozen=True)
class MovedStepSizes:
    """Step sizes on another grid.

    Attributes:
        config: Their configuration.
        params: Their parameters; empty where those stay, or nothing is learned.
        moves: For each of these, the linear map between small changes of the old and the new ones,
            by which moments of an optimiser move.
    """

    config: Any
    params: StepSizeParams = dataclasses.field(default_factory=dict)
    moves: Mapping[str, Transfer] = dataclasses.field(default_factory=dict)


class StepSizesConfig(PartConfig, abc.ABC, family="step_sizes"):
    """How long the steps of a block are: the options, and what other parts may ask.

    A kind of its own needs `build` alone, and says with `is_learned` whether training changes its
    step sizes; without more, its networks are not refined, divided or pruned.
    """

    kind: str

    is_learned: ClassVar[bool] = False
    """Whether training changes the step sizes."""

    @property
    def rule(self) -> str:
        """Name of the rule by which step sizes follow from parameters, for messages and equality.

        The same parameters under the same rule are the same step sizes, up to the horizon.
        """
        return self.kind

    @property
    def stays_positive(self) -> bool:
        """Whether every step size is above 0 whatever is learned."""
        return False

    @property
    def keeps_sum(self) -> bool:
        """Whether the step sizes sum to the horizon whatever is learned."""
        return False

    @property
    def follows_horizon(self) -> bool:
        """Whether the horizon is fixed, and any number of steps divides it equally."""
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
        """Why no layer can be removed by the size of its step, or None if one can."""
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
            ValueError: if the options do not allow so many.
        """

    def known(self, num_steps: int) -> tuple[float, ...] | None:
        """The step sizes where training does not change them, or None.

        Raises:
            ValueError: if the options do not allow so many.
        """
        del num_steps
        return None

    def with_params(self, num_steps: int, params: StepSizeParams) -> AbstractStepSizes:
        """The step sizes at given parameters; without any, as they start."""
        sizes = self.build(num_steps)
        for name, value in params.items():
            vars(sizes)[name][...] = jnp.asarray(value)
        return sizes

    def moved(self, num_steps: int, new: int, params: StepSizeParams) -> MovedStepSizes:
        """The same depth axis in another number of steps (see `refined_taus`).

        Args:
            num_steps: The present number.
            new: Another one, at least `least_steps`.
            params: The present parameters; none for those at the start.

        Raises:
            ConfigError: if they cannot be moved.
        """
        del num_steps, new, params
        raise ConfigError(f"step_sizes.kind={self.kind} has no rule for another number of steps")

    def divided(self, num_units: int) -> tuple[Any, Any]:
        """Options for the first of `num_units` units, at least 2, and for the others.

        Every unit starts with the step size that it has in the stage as a whole; a penalty on the
        horizon becomes one on each part.

        Raises:
            ValueError: if the parts cannot be learned apart from each other.
        """
        del num_units
        raise ValueError(
            f"step_sizes.kind={self.kind} has no rule for a stage whose first unit is a layer of "
            f"its own; use kind=fixed or learned"
        )

    def pruned(self, num_steps: int, kept: tuple[float, ...]) -> "StepSizesConfig":
        """Options after layers were removed, where `kept_whole` is None.

        Args:
            num_steps: Number of steps before.
            kept: The step sizes that stay.
        """
        raise NotImplementedError(self.kept_whole)  # pragma: no cover - asked where layers may go

    def pruned_leaf(self, leaf: np.ndarray, kept: Int[np.ndarray, " kept"]) -> np.ndarray:
        """A parameter, or a moment of it, after layers were removed.

        Args:
            leaf: Before.
            kept: Indices of the steps that stay, increasing.
        """
        return leaf[kept]

    def check_start(self, trained: "StepSizesConfig", steps: tuple[int, int]) -> None:
        """Refuse to start from parameters that would be other step sizes here.

        Args:
            trained: The options under which they were trained.
            steps: Numbers of steps there and here.

        Raises:
            ConfigError: saying which options would keep their meaning.
        """
        del steps
        if trained.is_learned and not self.is_learned:
            raise ConfigError(
                "the step sizes were learned there and are fixed here, so what was learned would "
                "be lost; set step_sizes.kind=learned (training.optimizer.step_sizes."
                "learning_rate_factor=0 freezes them)"
            )
