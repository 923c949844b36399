"""How inputs are normalised, as a configuration says it: measured, not at all, or by numbers."""

import numpy as np
from jaxtyping import Shaped
from pydantic import Field, FiniteFloat, model_validator

from odenet.data.dataset import Normalization, identity_normalization, measure_normalization
from odenet.errors import ConfigError
from odenet.part import PartConfig


class GivenNormalizationConfig(PartConfig):
    """Mean and standard deviation as numbers, those of weights that were trained elsewhere."""

    mean: tuple[FiniteFloat, ...] = Field(min_length=1)
    """One number for each channel, in units of the full pixel range (0 to 1); for each feature of a
    vector, in its own units."""
    std: tuple[FiniteFloat, ...] = Field(min_length=1)
    """Likewise, each positive."""

    @model_validator(mode="after")
    def _pairs(self):
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"mean and std hold one number each for every channel; got {len(self.mean)} and "
                f"{len(self.std)}"
            )
        # What is smaller loses digits in single precision, down to a division by zero.
        if min(self.std) < np.finfo(np.float32).tiny:
            raise ValueError(f"std must be positive; got {list(self.std)}")
        return self


def chosen_normalization(
    choice: bool | GivenNormalizationConfig, inputs: Shaped[np.ndarray, "n *example"]
) -> Normalization:
    """The normalisation that a configuration asks for.

    Args:
        choice: True to measure it on `inputs`, False for none, or the numbers.
        inputs: The training inputs, as in `Split`.

    Raises:
        ConfigError: If the numbers are not as many as channels or features.
    """
    if isinstance(choice, bool):
        return measure_normalization(inputs) if choice else identity_normalization(inputs)
    last = inputs.shape[-1]
    if len(choice.mean) != last:
        raise ConfigError(
            f"data.normalize needs {last} numbers in mean and std, as many as the inputs have "
            f"{'channels' if inputs.ndim == 4 else 'features'}; got {len(choice.mean)}"
        )
    return Normalization(np.array(choice.mean, np.float32), np.array(choice.std, np.float32))
