"""The contract of a depth schedule: changes of depth during training."""

import abc
from typing import Any

from odenet.depth.prune import Removal
from odenet.depth.refine import Prolongation
from odenet.part import PartConfig


class Change(abc.ABC):
    """A possible change of depth."""

    @property
    @abc.abstractmethod
    def network(self) -> "ChangeableNetwork":
        """The network after the change, with unknown parameters."""

    @abc.abstractmethod
    def noting(self, **details: Any) -> "Change":
        """The same change, with additional entries in its record in `levels.json`."""


class ChangeableNetwork(abc.ABC):
    """The interface of a network to depth schedules: its properties and the possible changes.

    `odenet.experiment.refinement` implements it.
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
        """The change that divides every layer into `factor` layers.

        Raises:
            ConfigError: if a block cannot be divided.
        """

    @abc.abstractmethod
    def pruned(self, fraction: float, remove: Removal) -> Change | None:
        """The change that removes layers of relative step size below `fraction` in their block.

        None if there is no such layer.
        """

    @abc.abstractmethod
    def with_num_steps(self, num_steps: int) -> Change:
        """The change to explicit Euler with `num_steps` steps, on the same weights and horizon.

        Raises:
            ConfigError: as `check_num_steps_free`.
        """

    @abc.abstractmethod
    def accuracy(self, num_steps: int, method: str) -> float:
        """Accuracy on the validation split, by an explicit method with `num_steps` steps.

        It is defined only during training.
        """

    @abc.abstractmethod
    def check_prunable(self) -> None:
        """Refuse a network without a layer that has its own learned step size.

        Raises:
            ConfigError: with the reason for every stage.
        """

    @abc.abstractmethod
    def check_num_steps_free(self, who: str) -> None:
        """Refuse a network whose weights depend on its number of steps.

        Args:
            who: The option that changes the number of steps, for the message.

        Raises:
            ConfigError: naming the stage and an alternative.
        """


class DepthScheduleConfig(PartConfig, abc.ABC, family="depth_schedule"):
    """A schedule of changes of depth during training.

    The training loop calls `due` after every dispatch, and `apply` if it is true. Weights, step
    sizes, statistics and moments of the optimiser are transferred.
    """

    kind: str

    @property
    @abc.abstractmethod
    def intervals(self) -> dict[str, tuple[int, ...]]:
        """Numbers of optimiser steps, multiples of a dispatch, by the name of their option.

        Each is less than the total number of training steps.
        """

    @abc.abstractmethod
    def due(self, step: int) -> bool:
        """Whether `apply` is due after this step."""

    @abc.abstractmethod
    def check(self, network: ChangeableNetwork) -> ChangeableNetwork:
        """Refuse a network that does not fit the schedule, before training.

        Args:
            network: The network at the start, with unknown parameters.

        Returns:
            The network at the end of training, as far as it is known.

        Raises:
            ConfigError: naming the stage.
        """

    @abc.abstractmethod
    def apply(self, network: ChangeableNetwork) -> Change | None:
        """The change at a step where one is due, or None for no change.

        The result depends only on the network and its parameters: a run that is resumed at the
        step calls it again.

        Args:
            network: The network in training.

        Raises:
            ConfigError: if the network does not support the change.
        """
