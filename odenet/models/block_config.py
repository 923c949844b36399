"""The contract of a block's configuration."""

import abc
from typing import Any

from flax import nnx

from odenet.part import PartConfig


class BlockConfig(PartConfig, abc.ABC, family="block"):
    """Base of the configuration of every block: the layers of one width."""

    kind: str

    @property
    @abc.abstractmethod
    def summary(self) -> str:
        """What the block is, in a line."""

    @property
    def is_euler_step(self) -> bool:
        """Whether a layer is `h + tau f(t, h)`: what explicit Euler takes one step of."""
        return False

    @abc.abstractmethod
    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> Any:
        """Make the block for states of `shape` (one example's).

        Raises:
            ConfigError: if the shape does not fit.
        """
