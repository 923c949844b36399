"""The contract of a family of weights over depth: its options, and what other parts may ask."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

from flax import nnx

from odenet.depth.basis import Basis
from odenet.depth.refine import Prolongation, Transfer
from odenet.errors import ConfigError
from odenet.part import PartConfig

MakeField = Callable[[bool, nnx.Rngs], nnx.Module]
"""`make_field(takes_time, rngs)` initialises one vector field."""


@dataclasses.dataclass(frozen=True)
class MovedWeights:
    """Weights on another grid.

    Attributes:
        config: Their configuration.
        move: How their sets, and those of batch statistics, move; None where they serve the new
            steps as they are.
    """

    config: "WeightsConfig"
    move: Transfer | None = None


class WeightsConfig(PartConfig, abc.ABC, family="weights"):
    """Which weights act at which depth."""

    kind: str

    @property
    def are_functions(self) -> bool:
        """Whether the weights are evaluated at every depth, instead of held over cells."""
        return False

    @property
    def takes_time(self) -> bool:
        """Whether the field has weights for the time."""
        return False

    @property
    def penalises_change(self) -> bool:
        """Whether the objective penalises the change of the weights over depth."""
        return False

    @property
    def serves_any_steps(self) -> bool:
        """Whether the same weights serve any number of steps."""
        return False

    @property
    def counts_functions(self) -> bool:
        """Whether the number of sets is a number of basis functions, as records name it."""
        return False

    @abc.abstractmethod
    def num_sets(self, num_steps: int) -> int:
        """Number of sets of weights that steps are divided among, a divisor of `num_steps`."""

    def num_functions(self, num_steps: int) -> int:
        """Number of functions of the depth that the weights are made of."""
        return self.num_sets(num_steps)

    def one_per_step(self, num_steps: int) -> bool:
        """Whether every step has weights of its own."""
        del num_steps
        return False

    @abc.abstractmethod
    def build(self, make_field: MakeField, num_steps: int, *, rngs: nnx.Rngs) -> Any:
        """Make the weights of all layers.

        Args:
            make_field: `make_field(takes_time, rngs)` initialises one vector field.
            num_steps: Number of steps of the block.
            rngs: Random keys.
        """

    def refined(self, num_steps: int, new: int, prolongation: Prolongation) -> MovedWeights:
        """The weights of a grid of another number of steps.

        Args:
            num_steps: The present number.
            new: Another one, or the same.
            prolongation: Whether new layers are made of the old ones that they share depth with, or
                lie on the line between two.

        Raises:
            ConfigError: if the weights cannot serve so many steps, or would ignore an option.
        """
        del num_steps, new
        if prolongation == "linear":
            raise ConfigError(
                f"prolongation=linear would be ignored: weights.kind={self.kind} serve any number "
                f"of steps"
            )
        return MovedWeights(self)

    def depth_functions(self, num_steps: int) -> Basis | None:
        """The functions of the depth that the sets are coefficients of, or None for no such."""
        del num_steps
        return None

    def in_basis(self, basis: Basis, num_steps: int) -> "WeightsConfig | None":
        """Options of this family for weights that are combinations of other functions.

        Args:
            basis: The functions; of cells, a divisor of `num_steps`.
            num_steps: Number of steps of the block.

        Returns:
            None where the family has no such functions, and `weights.kind=basis` has.
        """
        del basis, num_steps
        return None

    def pruned(self) -> "WeightsConfig":
        """Options after layers were removed, where every step has weights of its own."""
        return self
