"""Data sets: three splits of examples, and their normalisation."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Float64, Shaped

from odenet.errors import DataError


@dataclass(frozen=True, eq=False)
class Split:
    """Examples and their targets, read-only.

    Args:
        inputs: Images of shape `(n, height, width, channels)`, uint8 or float32 from 0 to 1, or
            vectors, float32 of shape `(n, features)`; `n` at least 1.
        targets: Classes, int32 of shape `(n,)`, or values, float32 of shape `(n, outputs)`.

    Raises:
        DataError: If the split is empty, or inputs and targets differ in number.
    """

    inputs: np.ndarray
    targets: np.ndarray

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets) or len(self.inputs) == 0:
            raise DataError(
                "a split needs one target for each input, and at least one example; got "
                f"{len(self.inputs)} inputs and {len(self.targets)} targets"
            )
        for field in ("inputs", "targets"):
            # A view, so that the flags of the caller's array do not change.
            view = getattr(self, field).view()
            view.flags.writeable = False
            object.__setattr__(self, field, view)

    def __len__(self) -> int:
        return len(self.inputs)


class Normalization(NamedTuple):
    """Mean and standard deviation of the inputs, a pytree.

    Both are float32 and broadcast against one example: shape `(channels,)` for images, in units
    of the full pixel range (0 to 1), and `(features,)` for vectors. No standard deviation
    is 0.
    """

    mean: Float[Array | np.ndarray, " last"]
    std: Float[Array | np.ndarray, " last"]


class Batch(NamedTuple):
    """Examples that are evaluated together, a pytree.

    `inputs` and `targets` are as in `Split`, with leading axes in place of `n`. `weights`, float32
    over the same leading axes, is 1 for a real example and 0 for padding.
    """

    inputs: Shaped[Array | np.ndarray, "..."]
    targets: Shaped[Array | np.ndarray, "..."]
    weights: Float[Array | np.ndarray, "..."]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set with a training, a validation and a test split.

    Args:
        name: The `kind` of the configuration that built it.
        source: Provenance as text: authors, year, address or formula.
        train: Examples for training.
        validation: Examples for model selection (early stopping, hyperparameters).
        test: Examples for the reported scores.
        num_classes: Number of classes, at least 2; None for regression.
        normalization: Mean and standard deviation of the training inputs, or the identity.
    """

    name: str
    source: str
    train: Split
    validation: Split
    test: Split
    num_classes: int | None
    normalization: Normalization

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example: `(height, width, channels)` or `(features,)`."""
        return self.train.inputs.shape[1:]

    @property
    def num_outputs(self) -> int:
        """Width of a model's last layer: the number of classes, or of regressed values."""
        return self.train.targets.shape[1] if self.num_classes is None else self.num_classes


def measure_normalization(inputs: Shaped[np.ndarray, "n *example"]) -> Normalization:
    """Mean and standard deviation over all axes but the last, images scaled to the range 0 to 1.

    A constant channel or feature gets standard deviation 1: it is centred and not divided by 0.

    Args:
        inputs: As in `Split`.
    """
    axes = tuple(range(inputs.ndim - 1))
    if inputs.dtype == np.uint8:
        mean, std = _pixel_moments(inputs)
    else:
        mean = inputs.mean(axis=axes, dtype=np.float64)
        std = inputs.std(axis=axes, dtype=np.float64)
    std = np.where(std > 0.0, std, 1.0)
    return Normalization(mean.astype(np.float32), std.astype(np.float32))


def identity_normalization(inputs: Shaped[np.ndarray, "n *example"]) -> Normalization:
    """Mean 0 and standard deviation 1 in the shape of `measure_normalization(inputs)`."""
    last = inputs.shape[-1:]
    return Normalization(np.zeros(last, np.float32), np.ones(last, np.float32))


def _pixel_moments(
    images: Shaped[np.ndarray, "n height width channels"],
) -> tuple[Float64[np.ndarray, " channels"], Float64[np.ndarray, " channels"]]:
    # A histogram of the 256 values is exact and needs no float copy of the images (1.2 GB for
    # CIFAR-10).
    values = np.arange(256) / 255.0
    means, stds = [], []
    for channel in range(images.shape[-1]):
        fractions = (
            np.bincount(images[..., channel].ravel(), minlength=256) / images[..., channel].size
        )
        mean = float(fractions @ values)
        means.append(mean)
        stds.append(float(fractions @ (values - mean) ** 2) ** 0.5)
    return np.array(means), np.array(stds)
