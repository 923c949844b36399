"""Synthetic points, drawn from a distribution: one seed, three independent splits."""

from abc import abstractmethod
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int
from pydantic import NonNegativeInt, PositiveInt

from odenet.data.dataset import (
    Dataset,
    Split,
    identity_normalization,
    measure_normalization,
)
from odenet.data.source import DataConfig


class DrawnConfig(DataConfig):
    """Base of the sources that draw their points: sizes of the splits, and seed."""

    train: PositiveInt = 1000
    """Number of training points."""
    validation: PositiveInt = 500
    """Number of validation points."""
    test: PositiveInt = 500
    """Number of test points."""
    split_seed: NonNegativeInt = 0
    """Seed of the points; each split has its own random stream, independent of the others' size."""
    normalize: bool = False
    """Whether to normalise coordinates to mean 0 and standard deviation 1."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, n: int) -> Split:
        """Draw one split of `n` points."""
        raise NotImplementedError

    @abstractmethod
    def describe(self) -> tuple[str, int | None]:
        """Source of the distribution, and its number of classes (None: regression)."""
        raise NotImplementedError

    def build(self, data_dir: Path | None = None) -> Dataset:
        """Draw the three splits; `data_dir` is not used."""
        streams = np.random.default_rng(self.split_seed).spawn(3)
        sizes = (self.train, self.validation, self.test)
        train, validation, test = (self.draw(rng, n) for rng, n in zip(streams, sizes, strict=True))
        source, num_classes = self.describe()
        measure = measure_normalization if self.normalize else identity_normalization
        return Dataset(
            name=type(self).model_fields["kind"].default,
            source=source,
            train=train,
            validation=validation,
            test=test,
            num_classes=num_classes,
            normalization=measure(train.inputs),
        )


def balanced_labels(rng: np.random.Generator, n: int, num_classes: int) -> Int[np.ndarray, " n"]:
    """`n` labels in random order; the class counts differ by at most one."""
    return rng.permutation(np.arange(n) % num_classes)


def labelled_points(
    rng: np.random.Generator,
    points: Float64[np.ndarray, "n 2"],
    labels: Int[np.ndarray, " n"],
    noise: float,
) -> Split:
    """A split of points in the plane with Gaussian noise of standard deviation `noise`."""
    moved = points + noise * rng.standard_normal(points.shape)
    return Split(moved.astype(np.float32), labels.astype(np.int32))
