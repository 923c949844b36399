"""When a network changes its depth while it trains, and how."""

import abc
import math
from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from odenet.depth.prune import Removal
from odenet.part import PartConfig


class DepthScheduleConfig(PartConfig, abc.ABC, family="depth_schedule"):
    """Base of the configuration of every change of the depth in training."""

    kind: str

    @property
    @abc.abstractmethod
    def intervals(self) -> tuple[int, ...]:
        """Numbers of steps that a dispatch must divide."""

    @abc.abstractmethod
    def due(self, step: int) -> bool:
        """Whether the network is looked at after this step."""


class MultilevelConfig(DepthScheduleConfig):
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


class PruningConfig(DepthScheduleConfig):
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


class StepAdaptionConfig(DepthScheduleConfig):
    """The steps of an Euler network become shorter where it is no ODE, and longer where it is.

    Ott et al. 2021 (arXiv:2007.15386, alg. 2): if the accuracy under a finer solver differs by
    more than `threshold`, the number of steps is doubled; else it is divided by `growth`, unless
    the difference with the longer steps is above the threshold. The finer solver is the midpoint
    method, with as many steps where there are more than 50, else with `sqrt(50 n)` of them.

    Two things differ from the published algorithm: accuracies are those on the validation split,
    not on one batch; and the number of steps is what is kept, a whole number, which starts at the
    block's `num_steps`.
    """

    kind: Literal["step_adaption"] = "step_adaption"
    every: PositiveInt = 50
    """Optimiser steps between two looks."""
    threshold: float = Field(default=0.1, gt=0, le=1)
    """Largest change of accuracy under the finer solver that counts as none."""
    growth: float = Field(default=1.1, gt=1, le=2)
    """By how much steps are made longer."""
    most_steps: PositiveInt = 500
    """Largest number of steps."""

    @property
    def intervals(self) -> tuple[int, ...]:
        """Numbers of steps that a dispatch must divide."""
        return (self.every,)

    def due(self, step: int) -> bool:
        """Whether the network is looked at after this step."""
        return step % self.every == 0

    def shorter(self, num_steps: int) -> int:
        """The number of steps where the network is no ODE."""
        return max(num_steps, min(2 * num_steps, self.most_steps))

    def longer(self, num_steps: int) -> int:
        """The number of steps to try where it is one."""
        return max(1, min(num_steps - 1, math.floor(num_steps / self.growth)))

    @staticmethod
    def finer(num_steps: int) -> int:
        """The number of steps of the midpoint method that a network is compared with."""
        return num_steps if num_steps > 50 else math.ceil(math.sqrt(50 * num_steps))
