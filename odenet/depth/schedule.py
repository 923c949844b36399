"""When a network changes its depth while it trains, and how."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from odenet.depth.prune import Removal
from odenet.part import PartConfig


class MultilevelConfig(PartConfig):
    """Layers are divided at given steps: training at 4, 8, 16, ... layers in one run.

    Haber and Ruthotto 2017 (arXiv:1705.03341, sec. 5; `linear`); Chang et al. 2018
    (arXiv:1710.10348; `constant`).
    """

    kind: Literal["multilevel"] = "multilevel"
    at: tuple[PositiveInt, ...] = Field(min_length=1)
    """Numbers of optimiser steps after which every layer is divided, increasing."""
    factor: int = Field(default=2, ge=2)
    """Into how many."""
    prolongation: Literal["constant", "linear"] = "constant"
    """New layers copy the one that they are part of, or lie on the line to the next one."""

    @model_validator(mode="after")
    def _increasing(self):
        if list(self.at) != sorted(set(self.at)):
            raise ValueError(f"the steps `at` must increase; got {list(self.at)}")
        return self

    @property
    def intervals(self) -> tuple[int, ...]:
        """Numbers of steps that a dispatch must divide."""
        return self.at

    def due(self, step: int) -> bool:
        """Whether the network is looked at after this step."""
        return step in self.at


class PruningConfig(PartConfig):
    """Layers whose learned step is a small part of the depth go, at an interval.

    Herberg, Herzog and Köhne 2023 (arXiv:2306.16111) look once per epoch and remove one layer, if
    the smallest share is below 0.01.
    """

    kind: Literal["pruning"] = "pruning"
    every: PositiveInt
    """Optimiser steps between two looks."""
    share: float = Field(default=0.01, gt=0, lt=1)
    """Layers whose part of the sum of `|tau|` over their block is smaller may go."""
    remove: Removal = "smallest"
    """The layer of the smallest `|tau|` of every block at each look, or `all` below the share."""

    @property
    def intervals(self) -> tuple[int, ...]:
        """Numbers of steps that a dispatch must divide."""
        return (self.every,)

    def due(self, step: int) -> bool:
        """Whether the network is looked at after this step."""
        return step % self.every == 0


DepthScheduleConfig = Annotated[MultilevelConfig | PruningConfig, Field(discriminator="kind")]
