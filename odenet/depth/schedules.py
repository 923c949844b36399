"""The depth schedules: refinement, pruning, and adaption of the number of steps."""

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from odenet.depth.prune import Removal
from odenet.depth.refine import Prolongation
from odenet.depth.schedule import Change, ChangeableNetwork
from odenet.depth.schedule import DepthScheduleConfig as DepthScheduleConfig
from odenet.errors import ConfigError


class MultilevelConfig(DepthScheduleConfig):
    """Multilevel training: layers are divided at given steps, 4, 8, 16, ... layers in one run.

    Haber and Ruthotto 2017 (arXiv:1705.03341, sec. 5; `linear`); Chang et al. 2018
    (arXiv:1710.10348; `constant`).
    """

    kind: Literal["multilevel"] = "multilevel"
    at: tuple[PositiveInt, ...] = Field(min_length=1)
    """Numbers of optimiser steps after which every layer is divided, increasing."""
    factor: int = Field(default=2, ge=2)
    """Number of new layers for each layer."""
    prolongation: Prolongation = "constant"
    """`constant`: new layers copy their old layer; `linear`: they are interpolated linearly between
    it and the next one."""

    @model_validator(mode="after")
    def _increasing(self):
        if list(self.at) != sorted(set(self.at)):
            raise ValueError(f"the steps `at` must increase; got {list(self.at)}")
        return self

    @property
    def intervals(self) -> dict[str, tuple[int, ...]]:
        """The steps at which layers are divided."""
        return {"at": self.at}

    def due(self, step: int) -> bool:
        """Whether layers are divided after this step."""
        return step in self.at

    def check(self, network: ChangeableNetwork) -> ChangeableNetwork:
        """Divide the layers as often as the training will."""
        for _ in self.at:
            network = self.apply(network).network
        return network

    def apply(self, network: ChangeableNetwork) -> Change:
        """The change that divides every layer."""
        return network.refined(self.factor, self.prolongation)


class PruningConfig(DepthScheduleConfig):
    """Removal of layers with a small relative step size, at an interval.

    Herberg, Herzog and Köhne 2023 (arXiv:2306.16111) check once per epoch and remove one layer if
    its relative step size is below 0.01.
    """

    renamed_keys: ClassVar[Mapping[str, str]] = {"share": "fraction"}

    kind: Literal["pruning"] = "pruning"
    every: PositiveInt
    """Optimiser steps between two checks."""
    fraction: float = Field(default=0.01, gt=0, lt=1)
    """Layers with a smaller relative step size, `|tau|` over its sum in the block, are removed."""
    remove: Removal = "smallest"
    """At each check, remove the layer of the `smallest` `|tau|` of every block, or `all` layers
    below `fraction`."""

    @property
    def intervals(self) -> dict[str, tuple[int, ...]]:
        """The interval."""
        return {"every": (self.every,)}

    def due(self, step: int) -> bool:
        """Whether the step sizes are checked after this step."""
        return step % self.every == 0

    def check(self, network: ChangeableNetwork) -> ChangeableNetwork:
        """Refuse a network without learned step sizes; the remaining layers are not known."""
        network.check_prunable()
        return network

    def apply(self, network: ChangeableNetwork) -> Change | None:
        """The change that removes small layers, or None if there are none."""
        return network.pruned(self.fraction, self.remove)


class StepAdaptionConfig(DepthScheduleConfig):
    """Adaption of the step size of an Euler network, so that it remains a discretised ODE.

    Ott et al. 2021 (arXiv:2007.15386, alg. 2): if the accuracy under a finer solver differs by
    more than `threshold`, the number of steps is doubled; else it is divided by `growth`, unless
    the difference with the longer steps is above the threshold. The finer solver is the midpoint
    method, with `n` steps if `n` is above 50, else with `sqrt(50 n)` steps.

    Two things differ from the published algorithm: accuracies are measured on the validation split,
    not on one batch; and the adapted quantity is the number of steps, an integer, which starts at
    the block's `num_steps`.
    """

    kind: Literal["step_adaption"] = "step_adaption"
    every: PositiveInt = 50
    """Optimiser steps between two checks."""
    threshold: float = Field(default=0.1, gt=0, le=1)
    """Tolerance of the change of accuracy under the finer solver."""
    growth: float = Field(default=1.1, gt=1, le=2)
    """Factor by which steps are made longer."""
    most_steps: PositiveInt = 500
    """Largest number of steps."""

    @property
    def intervals(self) -> dict[str, tuple[int, ...]]:
        """The interval."""
        return {"every": (self.every,)}

    def due(self, step: int) -> bool:
        """Whether accuracies are compared after this step."""
        return step % self.every == 0

    def check(self, network: ChangeableNetwork) -> ChangeableNetwork:
        """Refuse a network that cannot be adapted; the final number of steps is not known.

        Raises:
            ConfigError: if its weights depend on the number of steps, it has no accuracy, or its
                blocks have different numbers of steps or more than `most_steps`.
        """
        who = f"depth_schedule.kind={self.kind}"
        network.check_num_steps_free(who)
        if not network.is_classifier:
            raise ConfigError(
                f"{who} compares accuracies, and a regressor has none; use model.kind=classifier"
            )
        numbers = set(network.num_steps)
        if len(numbers) > 1:
            raise ConfigError(
                f"{who} adapts one number of steps; the blocks have {sorted(numbers)}; use the "
                f"same num_steps in all blocks"
            )
        if max(numbers) > self.most_steps:
            raise ConfigError(
                f"num_steps={max(numbers)} is above depth_schedule.most_steps={self.most_steps}; "
                f"increase most_steps, or start with fewer steps"
            )
        return network

    def apply(self, network: ChangeableNetwork) -> Change | None:
        """The change to more or fewer steps, or None for no change."""
        now = network.num_steps[0]
        new, changes = self.adapted(now, lambda steps: self.change_of_accuracy(network, steps))
        if new == now:
            return None
        return network.with_num_steps(new).noting(changes_of_accuracy=changes)

    def change_of_accuracy(self, network: ChangeableNetwork, num_steps: int) -> float:
        """Validation accuracy by Euler with `num_steps` steps, minus that of the finer solver."""
        own = network.accuracy(num_steps, "euler")
        return own - network.accuracy(self.finer(num_steps), "midpoint")

    def adapted(
        self, num_steps: int, change: Callable[[int], float]
    ) -> tuple[int, dict[int, float]]:
        """The next number of steps, and the measured changes of accuracy by number of steps.

        Args:
            num_steps: The current number of steps.
            change: The change of accuracy under the finer solver, by number of steps.
        """
        changes = {num_steps: change(num_steps)}
        if abs(changes[num_steps]) > self.threshold:
            return self.shorter(num_steps), changes
        longer = self.longer(num_steps)
        if longer == num_steps:
            return num_steps, changes
        changes[longer] = change(longer)
        return (num_steps if abs(changes[longer]) > self.threshold else longer), changes

    def shorter(self, num_steps: int) -> int:
        """The number of steps after a change of accuracy above the threshold."""
        return max(num_steps, min(2 * num_steps, self.most_steps))

    def longer(self, num_steps: int) -> int:
        """The number of steps to try after a change of accuracy within the threshold."""
        return max(1, min(num_steps - 1, math.floor(num_steps / self.growth)))

    @staticmethod
    def finer(num_steps: int) -> int:
        """The number of steps of the midpoint method, the finer solver."""
        return num_steps if num_steps > 50 else math.ceil(math.sqrt(50 * num_steps))
