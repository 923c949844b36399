"""The contract of a depth schedule: when a network changes its depth while it trains, and how."""

import abc
from typing import Any

from odenet.depth.prune import Removal
from odenet.depth.refine import Prolongation
from odenet.part import PartConfig


class Change(abc.ABC):
    """A change of depth that can be made."""

    @property
    @abc.abstractmethod
    def network(self) -> "ChangeableNetwork":
        """The network after it, at parameters that are not known yet."""

    @abc.abstractmethod
    def noting(self, **details: Any) -> "Change":
        """The same change, with more in its record in `levels.json`."""


class ChangeableNetwork(abc.ABC):
    """What a depth schedule may ask a network, and the changes that it may ask for.

    It is implemented where networks are built (`odenet.experiment.refinement`).
    """

    @property
    @abc.abstractmethod
    def num_steps(self) -> list[int]:
        """Number of steps of every block whose depth is time."""

    @property
    @abc.abstractmethod
    def is_classifier(self) -> bool:
        """Whether the network has an accuracy."""

    @abc.abstractmethod
    def refined(self, factor: int, prolongation: Prolongation) -> Change:
        """Every layer divided into `factor` ones.

        Raises:
            ConfigError: if a block cannot be divided.
        """

    @abc.abstractmethod
    def pruned(self, fraction: float, remove: Removal) -> Change | None:
        """Without the layers whose step is a smaller fraction of the depth of their block.

        None where no layer is small enough.
        """

    @abc.abstractmethod
    def with_num_steps(self, num_steps: int) -> Change:
        """By explicit Euler in another number of steps, on the same weights and horizon.

        Raises:
            ConfigError: as `check_num_steps_free`.
        """

    @abc.abstractmethod
    def accuracy(self, num_steps: int, method: str) -> float:
        """Accuracy on the validation split, by an explicit method in so many steps.

        It can be asked of a network in training alone.
        """

    @abc.abstractmethod
    def check_prunable(self) -> None:
        """Refuse a network none of whose layers has a learned step of its own.

        Raises:
            ConfigError: saying why, for every stage.
        """

    @abc.abstractmethod
    def check_num_steps_free(self, who: str) -> None:
        """Refuse a network whose number of steps cannot change while its weights stay.

        Args:
            who: The option that changes it, for the message.

        Raises:
            ConfigError: naming the stage, and what to use.
        """


class DepthScheduleConfig(PartConfig, abc.ABC, family="depth_schedule"):
    """When a network changes its depth while it trains, and how.

    A training asks `due` after every dispatch, and where it is, `apply` for the change. Weights,
    step sizes, statistics and moments of the optimiser go on.
    """

    kind: str

    @property
    @abc.abstractmethod
    def intervals(self) -> dict[str, tuple[int, ...]]:
        """By the name of their option, the numbers of optimiser steps that a dispatch divides.

        Each is less than the number of steps of the training.
        """

    @abc.abstractmethod
    def due(self, step: int) -> bool:
        """Whether the network is looked at after this step."""

    @abc.abstractmethod
    def check(self, network: ChangeableNetwork) -> ChangeableNetwork:
        """Refuse a network that could not follow the schedule, before anything is trained.

        Args:
            network: At the start, its parameters not known yet.

        Returns:
            The network that the training ends with, as far as that is known.

        Raises:
            ConfigError: naming the stage.
        """

    @abc.abstractmethod
    def apply(self, network: ChangeableNetwork) -> Change | None:
        """The change at a step where one is due, or None if the network stays as it is.

        The answer depends on the network and its parameters alone: a run that is resumed at the
        step asks again.

        Args:
            network: In training.

        Raises:
            ConfigError: if the network cannot be changed so.
        """
