"""A user's own examples, from an .npz file."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from odenet.data.augment import AugmentConfig
from odenet.data.dataset import Dataset, Split
from odenet.data.files import find_data_dir
from odenet.data.given_normalization import GivenNormalizationConfig, chosen_normalization
from odenet.data.npz_file import read_npz, sha256_of
from odenet.data.npz_inputs import Layout, as_inputs, as_targets
from odenet.data.source import DataConfig
from odenet.data.stratified import stratified_order
from odenet.errors import ConfigError, DataError


class NpzConfig(DataConfig):
    """Images or vectors of your own, with classes or values, from a file of `numpy.savez`.

    The file holds the arrays `train_inputs`, `train_targets`, `test_inputs`, `test_targets`, and
    optionally `validation_inputs`, `validation_targets`. The names `x_train`, `y_train` and so on,
    or `train_images`, `train_labels`, are read too. Inputs are images `(n, height, width,
    channels)` or grey images `(n, height, width)`, uint8 or in [0, 1], or floating-point vectors
    `(n, features)`. Targets are classes, integers from 0 on of shape `(n,)` or `(n, 1)`, or
    floating-point values `(n,)` or `(n, outputs)`.
    """

    kind: Literal["npz"] = "npz"
    path: str = Field(min_length=1)
    """Path of the file; a relative path is looked up beside the experiment file, then in the data
    folder (`--data-dir`)."""
    shape: tuple[PositiveInt, ...] | None = Field(default=None, min_length=2, max_length=3)
    """Shape of one image, `[height, width]` or `[height, width, channels]`, if the images of the
    file are flattened to rows."""
    layout: Layout | None = None
    """Position of the channel axis of images, `channels_first` or `channels_last`; without it,
    last, and an array that looks like channels first is refused."""
    validation: PositiveInt | None = None
    """Number of validation examples, taken from the training examples, stratified by class;
    required if the file holds no validation examples."""
    split_seed: NonNegativeInt | None = None
    """Seed of the choice of validation examples; without it, 0."""
    num_classes: int | None = Field(default=None, ge=2)
    """Number of classes; without it, one more than the largest training target."""
    normalize: bool | GivenNormalizationConfig = True
    """Whether to normalise channels or features to mean 0 and standard deviation 1, measured on the
    training split; or the mean and standard deviation to use."""
    augment: AugmentConfig | None = None
    """Random crops and flips of training images."""

    @property
    def augmentation(self) -> AugmentConfig | None:
        """The `augment` field."""
        return self.augment

    def build(self, data_dir: Path | None = None) -> Dataset:
        """Read, check and split the examples.

        Raises:
            DataError: If the file is missing or damaged, or holds wrong arrays.
            ConfigError: If an option does not fit the arrays.
        """
        path = find_data_dir(data_dir) / Path(self.path).expanduser()
        if self.layout is not None and self.shape is not None and len(self.shape) == 2:
            raise ConfigError(
                f"data.layout would be ignored: data.shape={list(self.shape)} is the shape of grey "
                f"images; remove it, or give three numbers"
            )
        arrays = read_npz(path)
        parts = ["train", "test"]
        if "validation_inputs" in arrays:
            parts.append("validation")
        splits = {part: self._split(path, part, arrays) for part in parts}
        _check_alike(path, splits)
        num_classes = self._num_classes(path, splits)
        if "validation" not in splits:
            splits["train"], splits["validation"] = self._divided(splits["train"])
        elif self.validation is not None or self.split_seed is not None:
            option = "validation" if self.validation is not None else "split_seed"
            raise ConfigError(
                f"data.{option} would be ignored: {path} holds validation examples; remove it"
            )
        train = splits["train"]
        if self.augment is not None and train.inputs.ndim != 4:
            raise ConfigError("data.augment needs images; the inputs are vectors; remove it")
        return Dataset(
            name="npz",
            source=f"own data, {path.name}, SHA-256 {sha256_of(path)}",
            **splits,
            num_classes=num_classes,
            normalization=chosen_normalization(self.normalize, train.inputs),
        )

    def beside(self, folder: Path) -> "NpzConfig":
        """The same configuration, with a relative path that exists in `folder` made absolute."""
        path = Path(self.path).expanduser()
        if path.is_absolute() or not (folder / path).is_file():
            return self
        return self.model_copy(update={"path": str((folder / path).absolute())})

    def _split(self, path: Path, part: str, arrays: dict[str, np.ndarray]) -> Split:
        inputs_name, targets_name = f"{part}_inputs", f"{part}_targets"
        given = arrays[inputs_name]
        inputs = as_inputs(path, inputs_name, given, self.shape, self.layout)
        return Split(inputs, as_targets(path, targets_name, arrays[targets_name], len(given)))

    def _num_classes(self, path: Path, splits: dict[str, Split]) -> int | None:
        labels = {part: split.targets for part, split in splits.items()}
        if labels["train"].dtype != np.int32:
            if self.num_classes is not None:
                raise ConfigError(
                    f"data.num_classes would be ignored: the targets of {path} are values "
                    f"(floating point), not classes (integers); remove it"
                )
            return None
        found = np.unique(labels["train"])
        gaps = np.flatnonzero(found != np.arange(len(found)))
        if self.num_classes is None and (gaps.size or len(found) < 2):
            missing = int(gaps[0]) if gaps.size else len(found)
            raise DataError(
                f"train_targets of {path} must hold every class from 0 on, and at least two; there "
                f"is no example of class {missing}, and the largest is {found[-1]}; number the "
                f"classes from 0, or set data.num_classes"
            )
        number = self.num_classes or len(found)
        for part, of_part in labels.items():
            if of_part.max() >= number:
                raise DataError(
                    f"{part}_targets of {path} must be less than the number of classes, {number}; "
                    f"got {of_part.max()}; number the classes from 0, or set data.num_classes"
                )
        return number

    def _divided(self, train: Split) -> tuple[Split, Split]:
        if self.validation is None:
            raise ConfigError(
                "data.validation is required: the file holds no validation_inputs and "
                "validation_targets; give the number of training examples to take"
            )
        if self.validation >= len(train):
            raise ConfigError(
                f"data.validation must be less than {len(train)}, the number of training examples; "
                f"got {self.validation}"
            )
        labels = train.targets if train.targets.ndim == 1 else np.zeros(len(train), np.int32)
        order = stratified_order(labels, self.split_seed or 0)
        held_out, kept = np.sort(order[: self.validation]), np.sort(order[self.validation :])
        return (
            Split(train.inputs[kept], train.targets[kept]),
            Split(train.inputs[held_out], train.targets[held_out]),
        )


def _check_alike(path: Path, splits: dict[str, Split]) -> None:
    train = splits["train"]
    for part, split in splits.items():
        for name in ("inputs", "targets"):
            own, other = getattr(train, name), getattr(split, name)
            if (own.dtype, own.shape[1:]) != (other.dtype, other.shape[1:]):
                raise DataError(
                    f"{part}_{name} of {path} must be like train_{name}, {own.dtype} of shape "
                    f"(n, *{own.shape[1:]}); got {other.dtype} of shape {other.shape}"
                )
