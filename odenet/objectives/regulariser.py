"""The contract of a regulariser's configuration."""

import abc

from odenet.part import PartConfig


class RegulariserConfig(PartConfig, abc.ABC, family="regulariser"):
    """Base of the configuration of everything that is added to a loss along the depth."""

    kind: str

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The metric of the integral, and its name in messages."""
