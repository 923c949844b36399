"""The contracts of what stands between the blocks of a network, and around its layers."""

import abc
from typing import Any, ClassVar

from flax import nnx

from odenet.models.maps import Projection, Shape
from odenet.part import PartConfig


class StageProjectionConfig(PartConfig, abc.ABC, family="projection"):
    """Base of the configuration of every map from the state of one stage to that of the next."""

    kind: str

    is_identity: ClassVar[bool] = False
    """Whether it gives the state as it is."""

    @property
    def has_batch_norm(self) -> bool:
        """Whether a batch norm is in it."""
        return False

    @property
    def pads_behind(self) -> bool:
        """Whether all new channels are zeros, and stand behind those of the state."""
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
    """Base of those that may be a stem too: maps from the inputs to the first state."""


class ShortcutConfig(PartConfig, abc.ABC, family="shortcut"):
    """Base of the configuration of everything that goes around the branch of a layer."""

    kind: str

    is_identity: ClassVar[bool] = False
    """Whether it gives the state as it is, so that a layer is a step of explicit Euler."""
    is_for_new_channels: ClassVar[bool] = False
    """Whether it does nothing but fill channels that the state does not have."""
    is_random: ClassVar[bool] = False
    """Whether it draws random numbers in training."""

    @property
    def has_batch_norm(self) -> bool:
        """Whether a batch norm is in it."""
        return False

    @abc.abstractmethod
    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> nnx.Module | Projection:
        """Make the shortcut for states of `shape` (one example's), beside a branch of `width`.

        A projection is added to the step; anything else is called as `shortcut(h, step)`.

        Raises:
            ConfigError: if the shape does not fit.
        """
