"""Options of the normalisation of inputs: measured, none, or by given numbers."""

import numpy as np
from jaxtyping import Shaped
from pydantic import Field, FiniteFloat, model_validator

from odenet.data.dataset import Normalization, identity_normalization, measure_normalization
from odenet.errors import ConfigError
from odenet.part import PartConfig


class GivenNormalizationConfig(PartConfig):
    """Mean and standard deviation as numbers, for example those of pretrained weights."""

    mean: tuple[FiniteFloat, ...] = Field(min_length=1)
    """Mean of each channel, in units of the full pixel range (0 to 1); for vectors, of each feature
    in its own units."""
    std: tuple[FiniteFloat, ...] = Field(min_length=1)
    """Standard deviation of each channel or feature, in the same units; positive."""

    @model_validator(mode="after")
    def _pairs(self):
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"mean and std must each hold one number per channel; got {len(self.mean)} and "
                f"{len(self.std)} numbers"
            )
        # Smaller numbers are subnormal or 0 in single precision: loss of digits, division by 0.
        if min(self.std) < np.finfo(np.float32).tiny:
            raise ValueError(f"std must be positive; got {list(self.std)}")
        return self


def chosen_normalization(
    choice: bool | GivenNormalizationConfig, inputs: Shaped[np.ndarray, "n *example"]
) -> Normalization:
    """The normalisation by the option of a configuration.

    Args:
        choice: True to measure it on `inputs`, False for none, or given numbers.
        inputs: The training inputs, as in `Split`.

    Raises:
        ConfigError: If the numbers do not match the channels or features.
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
