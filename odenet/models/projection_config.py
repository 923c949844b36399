"""The contracts of what stands between the blocks of a network, and around its layers."""

import abc

from flax import nnx

from odenet.models.maps import Projection, Shape
from odenet.part import PartConfig


class StageProjectionConfig(PartConfig, abc.ABC, family="projection"):
    """Base of the configuration of every map from the state of one stage to that of the next."""

    kind: str

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

    @abc.abstractmethod
    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> nnx.Module | Projection:
        """Make the shortcut for states of `shape` (one example's), beside a branch of `width`.

        A projection is added to the step; anything else is called as `shortcut(h, step)`.

        Raises:
            ConfigError: if the shape does not fit.
        """
