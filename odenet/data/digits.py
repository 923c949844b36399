"""The 1,797 handwritten digits of 8x8 pixels in scikit-learn."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, NonNegativeInt, model_validator

from odenet.data.augment import AugmentConfig
from odenet.data.dataset import Dataset, Split
from odenet.data.given_normalization import GivenNormalizationConfig, chosen_normalization
from odenet.data.source import DataConfig
from odenet.data.stratified import stratified_order

NUM_EXAMPLES = 1797


class DigitsConfig(DataConfig):
    """Images of shape (8, 8, 1) in ten classes; the 17 grey levels are scaled to 0 to 255."""

    kind: Literal["digits"] = "digits"
    validation: int = Field(default=180, ge=1)
    """Number of validation images."""
    test: int = Field(default=360, ge=1)
    """Number of test images; the rest is the training split. All splits are stratified by class."""
    split_seed: NonNegativeInt = 0
    """Seed of the split into training, validation and test images."""
    normalize: bool | GivenNormalizationConfig = True
    """Whether to normalise pixels to mean 0 and standard deviation 1, instead of the range 0 to 1;
    or the mean and standard deviation to use."""
    augment: AugmentConfig | None = None
    """Random crops and flips of training images; a flipped digit may not be a digit."""

    @model_validator(mode="after")
    def _leaves_training_images(self):
        if self.validation + self.test >= NUM_EXAMPLES:
            raise ValueError(
                f"`validation` and `test` together must be less than {NUM_EXAMPLES}, to leave "
                f"digits for training; got {self.validation} + {self.test}"
            )
        return self

    @property
    def augmentation(self) -> AugmentConfig | None:
        """The `augment` field."""
        return self.augment

    def build(self, data_dir: Path | None = None) -> Dataset:
        """Split the digits; `data_dir` is not used."""
        # Imported here because scikit-learn takes over a second to import.
        from sklearn.datasets import load_digits

        data, target = load_digits(return_X_y=True)
        # The levels 0 to 16 are scaled to the full range of uint8.
        images = np.rint(data * (255.0 / 16.0)).astype(np.uint8).reshape(-1, 8, 8, 1)
        labels = target.astype(np.int32)
        order = stratified_order(labels, self.split_seed)
        parts = np.split(order, [self.test, self.test + self.validation])
        test, validation, train = (Split(images[part], labels[part]) for part in parts)
        return Dataset(
            name="digits",
            source="Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI; "
            "the test part, as in scikit-learn",
            train=train,
            validation=validation,
            test=test,
            num_classes=10,
            normalization=chosen_normalization(self.normalize, train.inputs),
        )
