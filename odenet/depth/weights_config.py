"""The contract of weights over depth: their options and properties."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

from flax import nnx

from odenet.depth.basis import Basis
from odenet.depth.layer import Layer
from odenet.depth.refine import Prolongation, Transfer
from odenet.errors import ConfigError
from odenet.part import PartConfig

MakeField = Callable[[bool, nnx.Rngs], Layer]
"""`make_field(takes_time, rngs)` initialises one vector field."""


@dataclasses.dataclass(frozen=True)
class MovedWeights:
    """Weights on another grid.

    Attributes:
        config: Their configuration.
        move: The transfer of the sets of weights and batch statistics; None if they are unchanged.
    """

    config: "WeightsConfig"
    move: Transfer | None = None


class WeightsConfig(PartConfig, abc.ABC, family="weights"):
    """Which weights act at which depth."""

    kind: str

    @property
    def are_functions(self) -> bool:
        """Whether the weights vary continuously with depth, not piecewise constant."""
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
        """Whether the sets of weights are coefficients of basis functions, for records."""
        return False

    @abc.abstractmethod
    def num_sets(self, num_steps: int) -> int:
        """Number of sets of weights on the grid, a divisor of `num_steps`."""

    def num_functions(self, num_steps: int) -> int:
        """Number of basis functions of the weights."""
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
        """The weights on a grid with another number of steps.

        Args:
            num_steps: The current number.
            new: The new number, or the same.
            prolongation: Whether new layers are means of the overlapping old ones (`constant`), or
                are interpolated (`linear`).

        Raises:
            ConfigError: if the weights do not fit so many steps, or would ignore an option.
        """
        del num_steps, new
        if prolongation == "linear":
            raise ConfigError(
                f"prolongation=linear would be ignored: weights.kind={self.kind} serve any number "
                f"of steps"
            )
        return MovedWeights(self)

    def depth_functions(self, num_steps: int) -> Basis | None:
        """The basis functions of which the sets of weights are the coefficients, or None."""
        del num_steps
        return None

    def in_basis(self, basis: Basis, num_steps: int) -> "WeightsConfig | None":
        """Options of this kind of weights in another basis.

        Args:
            basis: The basis; the number of cells divides `num_steps`.
            num_steps: Number of steps of the block.

        Returns:
            The options, or None if this kind does not have the basis, and `weights.kind=basis` has.
        """
        del basis, num_steps
        return None

    def pruned(self) -> "WeightsConfig":
        """Options after layers were removed, for weights with one set per step."""
        return self
