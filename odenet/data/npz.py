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
from odenet.data.source import SourceConfig
from odenet.data.stratified import stratified_order
from odenet.errors import ConfigError, DataError


class NpzConfig(SourceConfig):
    """Images or vectors of your own, with classes or values, from a file of `numpy.savez`.

    It holds the arrays `train_inputs`, `train_targets`, `test_inputs`, `test_targets`, and maybe
    `validation_inputs`, `validation_targets`. Inputs are uint8 images `(n, height, width,
    channels)` or floating-point vectors `(n, features)`; targets are integers `(n,)`, classes from
    0 on, or floating-point values `(n,)` or `(n, outputs)`.
    """

    kind: Literal["npz"] = "npz"
    path: str = Field(min_length=1)
    """The file; a relative path starts in the data folder (`--data-dir`)."""
    validation: PositiveInt | None = None
    """Number of examples to validate on, taken from the training examples, classes in proportion;
    needed where the file holds none."""
    split_seed: NonNegativeInt | None = None
    """Seed that decides which examples validate; without it, 0."""
    num_classes: int | None = Field(default=None, ge=2)
    """Number of classes; without it, one more than the largest training target."""
    normalize: bool | GivenNormalizationConfig = True
    """Whether to give the model channels or features of mean 0 and deviation 1, measured on the
    training part, or the mean and deviation to use."""
    augment: AugmentConfig | None = None
    """Random crops and flips of training images."""

    @property
    def augmentation(self) -> AugmentConfig | None:
        """The `augment` field."""
        return self.augment

    def build(self, data_dir: Path | None = None) -> Dataset:
        """Read, check and split the examples.

        Raises:
            DataError: If the file is missing or damaged, or holds other arrays than it should.
            ConfigError: If an option does not fit what it holds.
        """
        path = find_data_dir(data_dir) / Path(self.path).expanduser()
        arrays = read_npz(path)
        parts = ["train", "test"]
        if "validation_inputs" in arrays:
            parts.append("validation")
        splits = {part: _checked(path, part, arrays) for part in parts}
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
            raise ConfigError("data.augment acts on images; the inputs are vectors; remove it")
        return Dataset(
            name="npz",
            source=f"own data, {path.name}, SHA-256 {sha256_of(path)}",
            **splits,
            num_classes=num_classes,
            normalization=chosen_normalization(self.normalize, train.inputs),
        )

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
                f"is no example of class {missing}, and the largest is {found[-1]}; count classes "
                f"from 0, or set data.num_classes"
            )
        number = self.num_classes or len(found)
        for part, of_part in labels.items():
            if of_part.max() >= number:
                raise DataError(
                    f"{part}_targets of {path} must be less than the number of classes, {number}; "
                    f"got {of_part.max()}; count classes from 0, or set data.num_classes"
                )
        return number

    def _divided(self, train: Split) -> tuple[Split, Split]:
        if self.validation is None:
            raise ConfigError(
                "data.validation is required: the file holds no validation_inputs and "
                "validation_targets; say how many training examples to take"
            )
        if self.validation >= len(train):
            raise ConfigError(
                f"data.validation leaves some of the {len(train)} training examples to train on; "
                f"got {self.validation}"
            )
        labels = train.targets if train.targets.ndim == 1 else np.zeros(len(train), np.int32)
        order = stratified_order(labels, self.split_seed or 0)
        held_out, kept = np.sort(order[: self.validation]), np.sort(order[self.validation :])
        return (
            Split(train.inputs[kept], train.targets[kept]),
            Split(train.inputs[held_out], train.targets[held_out]),
        )


def _checked(path: Path, part: str, arrays: dict[str, np.ndarray]) -> Split:
    inputs, targets = arrays[f"{part}_inputs"], arrays[f"{part}_targets"]
    images = inputs.dtype == np.uint8 and inputs.ndim == 4
    vectors = np.issubdtype(inputs.dtype, np.floating) and inputs.ndim == 2
    if not (images or vectors) or inputs.size == 0:
        raise DataError(
            f"{part}_inputs of {path} must be uint8 images of shape (n, height, width, channels) "
            f"or floating-point vectors of shape (n, features), none of them 0; got "
            f"{inputs.dtype} of shape {inputs.shape}"
        )
    classes = np.issubdtype(targets.dtype, np.integer) and targets.ndim == 1
    values = np.issubdtype(targets.dtype, np.floating) and targets.ndim in (1, 2)
    if not (classes or values) or targets.size == 0 or len(targets) != len(inputs):
        raise DataError(
            f"{part}_targets of {path} must be one integer class or floating-point value for each "
            f"of the {len(inputs)} inputs, of shape (n,), or values of shape (n, outputs); got "
            f"{targets.dtype} of shape {targets.shape}"
        )
    if classes:
        if targets.min() < 0 or targets.max() >= 2**31:
            raise DataError(
                f"{part}_targets of {path} must be classes 0, 1, ...; got {targets.min()} to "
                f"{targets.max()}"
            )
        targets = targets.astype(np.int32)
    else:
        targets = _finite(path, f"{part}_targets", targets.reshape(len(targets), -1))
    return Split(inputs if images else _finite(path, f"{part}_inputs", inputs), targets)


def _finite(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(single).reshape(len(single), -1).all(axis=1))
    if bad.size:
        raise DataError(
            f"{name} of {path} must be finite in single precision; {bad.size} of {len(single)} "
            f"rows are not, the first is {bad[0]}"
        )
    return single


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
