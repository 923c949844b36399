"""Published sets of images: MNIST, Fashion-MNIST and CIFAR-10."""

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, model_validator

from odenet.data.augment import AugmentConfig
from odenet.data.cifar import read_batches
from odenet.data.dataset import Dataset, Split
from odenet.data.files import Examples, Part, PublishedSet, find_data_dir, find_published
from odenet.data.given_normalization import GivenNormalizationConfig, chosen_normalization
from odenet.data.idx import read_idx_pair
from odenet.data.source import DataConfig, Outline
from odenet.data.stratified import stratified_order

NUM_CLASSES = 10


class ImagesConfig(DataConfig):
    """Base of the published sets of images: numbers of images, and their split."""

    num_published: ClassVar[int]
    """Number of published training images; each set has 10,000 test images."""
    shape: ClassVar[tuple[int, int, int]]
    """Shape of one image."""

    validation: int = Field(default=5000, ge=1)
    """Number of validation images, taken from the training images, stratified by class (He et al.
    2015, sec. 4.2, take 5,000)."""
    limit_train: int | None = Field(default=None, ge=2)
    """Number of published training images to read, from the first on, including validation
    images."""
    limit_test: int | None = Field(default=None, ge=1, le=10_000)
    """Number of published test images to read, from the first on."""
    split_seed: NonNegativeInt = 0
    """Seed of the choice of validation images."""
    normalize: bool | GivenNormalizationConfig = True
    """Whether to normalise pixels to mean 0 and standard deviation 1 per channel, measured on the
    training split, instead of the range 0 to 1; or the mean and standard deviation to use."""
    augment: AugmentConfig | None = None
    """Random crops and flips of training images."""

    @model_validator(mode="after")
    def _leaves_training_images(self):
        limit = self.num_published if self.limit_train is None else self.limit_train
        if limit > self.num_published:
            raise ValueError(
                f"`limit_train` must be at most {self.num_published}, the number of published "
                f"images; got {limit}"
            )
        if self.validation >= limit:
            raise ValueError(
                f"`validation` must be less than {limit}, the number of training images that are "
                f"read; got {self.validation}; lower it or raise `limit_train`"
            )
        return self

    @property
    def augmentation(self) -> AugmentConfig | None:
        """The `augment` field."""
        return self.augment

    @property
    def _name(self) -> str:
        return type(self).model_fields["kind"].default

    @abstractmethod
    def read(self, folder: Path, published: PublishedSet, part: Part) -> Examples:
        """Read one published part from its files, up to its limit."""
        raise NotImplementedError

    def outline(self, data_dir: Path | None = None) -> Outline:
        """The outline of the published set; no file is read."""
        del data_dir
        number = self.limit_train or self.num_published
        source = find_published(self._name).source
        return Outline(self.shape, NUM_CLASSES, True, source, number - self.validation)

    def build(self, data_dir: Path | None = None) -> Dataset:
        """Read, check and split the images."""
        published = find_published(self._name)
        folder = find_data_dir(data_dir) / published.folder
        images, labels = self.read(folder, published, "train")
        order = stratified_order(labels.astype(np.int32), self.split_seed)
        held_out, kept = np.sort(order[: self.validation]), np.sort(order[self.validation :])
        train = _split(images[kept], labels[kept])
        return Dataset(
            name=self._name,
            source=published.source,
            train=train,
            validation=_split(images[held_out], labels[held_out]),
            test=_split(*self.read(folder, published, "test")),
            num_classes=NUM_CLASSES,
            normalization=chosen_normalization(self.normalize, train.inputs),
        )


class IdxImagesConfig(ImagesConfig):
    """Base of the sets that are published as idx files."""

    num_published: ClassVar[int] = 60_000
    shape: ClassVar[tuple[int, int, int]] = (28, 28, 1)

    def read(self, folder: Path, published: PublishedSet, part: Part) -> Examples:
        """Read one pair of idx files."""
        limit = self.limit_train if part == "train" else self.limit_test
        return read_idx_pair(self._name, folder, published, part, limit)


class MNISTConfig(IdxImagesConfig):
    """60,000 + 10,000 handwritten digits of shape (28, 28, 1)."""

    kind: Literal["mnist"] = "mnist"


class FashionMNISTConfig(IdxImagesConfig):
    """60,000 + 10,000 images of clothing of shape (28, 28, 1)."""

    kind: Literal["fashion_mnist"] = "fashion_mnist"


class CIFAR10Config(ImagesConfig):
    """50,000 + 10,000 colour photographs of shape (32, 32, 3)."""

    num_published: ClassVar[int] = 50_000
    shape: ClassVar[tuple[int, int, int]] = (32, 32, 3)
    kind: Literal["cifar10"] = "cifar10"

    def read(self, folder: Path, published: PublishedSet, part: Part) -> Examples:
        """Read the batches that hold the requested images."""
        limit = self.limit_train if part == "train" else self.limit_test
        return read_batches(self._name, folder, published, part, limit)


def _split(images: np.ndarray, labels: np.ndarray) -> Split:
    return Split(images, labels.astype(np.int32))
