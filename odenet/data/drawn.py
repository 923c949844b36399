"""Points drawn from a distribution: one seed, three splits drawn independently."""

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
    """Base of the sources that draw their points: how many, from which seed."""

    train: PositiveInt = 1000
    """Number of training points."""
    validation: PositiveInt = 500
    """Number of validation points."""
    test: PositiveInt = 500
    """Number of test points."""
    split_seed: NonNegativeInt = 0
    """Seed of the points; each split draws from its own stream of it, whatever the others' size."""
    normalize: bool = False
    """Whether to give the model coordinates of mean 0 and standard deviation 1."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, n: int) -> Split:
        """Draw one split of `n` points."""
        raise NotImplementedError

    @abstractmethod
    def describe(self) -> tuple[str, int | None]:
        """Where the distribution comes from, and its number of classes (None: regression)."""
        raise NotImplementedError

    def build(self, data_dir: Path | None = None) -> Dataset:
        """Draw the three splits; `data_dir` is not looked at."""
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
    """`n` labels in random order, no two classes differing by more than one in number."""
    return rng.permutation(np.arange(n) % num_classes)


def labelled_points(
    rng: np.random.Generator,
    points: Float64[np.ndarray, "n 2"],
    labels: Int[np.ndarray, " n"],
    noise: float,
) -> Split:
    """A split of points in the plane, moved by Gaussian noise of standard deviation `noise`."""
    moved = points + noise * rng.standard_normal(points.shape)
    return Split(moved.astype(np.float32), labels.astype(np.int32))
