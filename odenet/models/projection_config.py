"""The contracts of projections between blocks, and of shortcuts around branches."""

import abc
from typing import Any, ClassVar

from flax import nnx

from odenet.models.maps import Projection, Shape
from odenet.part import PartConfig


class StageProjectionConfig(PartConfig, abc.ABC, family="projection"):
    """Base of the configs of projections, maps from the state of one stage to the next."""

    kind: str

    is_identity: ClassVar[bool] = False
    """Whether it is the identity."""

    @property
    def has_batch_norm(self) -> bool:
        """Whether it contains a batch norm."""
        return False

    @property
    def pads_behind(self) -> bool:
        """Whether it appends zeros as the new channels."""
        return False

    @property
    def unit(self) -> Any:
        """The options of kind=unit, if it is a residual layer, else None."""
        return None

    @abc.abstractmethod
    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> Projection:
        """Make the projection of states of `shape` (one example's) to `width` channels.

        Raises:
            ConfigError: if the shape does not fit.
        """


class ProjectionConfig(StageProjectionConfig):
    """Base of the projections that may also be a stem, the map from inputs to the first state."""


class ShortcutConfig(PartConfig, abc.ABC, family="shortcut"):
    """Base of the configs of shortcuts around the branch of a layer."""

    kind: str

    is_identity: ClassVar[bool] = False
    """Whether it is the identity, so that a layer is a step of explicit Euler."""
    is_for_new_channels: ClassVar[bool] = False
    """Whether its only effect is to add channels to the state."""
    is_random: ClassVar[bool] = False
    """Whether it samples random numbers in training mode."""

    @property
    def has_batch_norm(self) -> bool:
        """Whether it contains a batch norm."""
        return False

    @abc.abstractmethod
    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> nnx.Module | Projection:
        """Make the shortcut for states of `shape` (one example's) and a branch of `width`.

        A projection is added to the step; other shortcuts are called as `shortcut(h, step)`.

        Raises:
            ConfigError: if the shape does not fit.
        """
