"""The contract of a configuration of weights over depth."""

import abc
from collections.abc import Callable
from typing import Any

from flax import nnx

from odenet.part import PartConfig

MakeField = Callable[[bool, nnx.Rngs], nnx.Module]
"""`make_field(takes_time, rngs)` initialises one vector field."""


class WeightsConfig(PartConfig, abc.ABC, family="weights"):
    """Base of the configuration of every family of weights over depth."""

    kind: str

    @abc.abstractmethod
    def build(self, make_field: MakeField, num_steps: int, *, rngs: nnx.Rngs) -> Any:
        """Make the weights of the fields of a block of `num_steps` steps.

        Raises:
            ConfigError: if the number of steps does not fit.
        """
