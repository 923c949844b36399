"""Data that are not here: those that the weights of a file were trained on."""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from odenet.data.dataset import Dataset
from odenet.data.source import DataConfig, Outline
from odenet.errors import DataError


class AbsentConfig(DataConfig):
    """Data that are not here: what `odenet import` notes where a file fits no data at hand.

    Its network has the file's classes and channels. It can be started from, with other data:
    `data={...}`, `start={run: RUN, last: reinitialise}`; or evaluated with data that fit it.
    """

    kind: Literal["absent"] = "absent"
    shape: tuple[PositiveInt, ...] = Field(min_length=1, max_length=3)
    """Shape of one input: `[height, width, channels]` or `[features]`."""
    num_classes: int | None = Field(default=None, ge=2)
    """Number of classes; or else"""
    num_values: PositiveInt | None = None
    """number of values, of a regressor."""

    @model_validator(mode="after")
    def _one_of_two(self):
        if (self.num_classes is None) == (self.num_values is None):
            raise ValueError("data.kind=absent has num_classes or num_values; give one of the two")
        return self

    def outline(self, data_dir: Path | None = None) -> Outline:
        """What is known of them."""
        del data_dir
        outputs = self.num_classes or self.num_values
        assert outputs is not None
        source = "data elsewhere, which the weights of a file were trained on"
        return Outline(self.shape, outputs, self.num_classes is not None, source, None)

    def build(self, data_dir: Path | None = None) -> Dataset:
        """Refuse: there are none.

        Raises:
            DataError: Always; it says how to go on.
        """
        del data_dir
        what = f"{self.num_classes} classes" if self.num_classes else f"{self.num_values} values"
        shape = "x".join(map(str, self.shape))
        raise DataError(
            f"data.kind=absent stands for data that are not here: inputs of shape {shape} and "
            f"{what}, those of an imported file; name data of yours that are like them, such as "
            f"'data={{kind: npz, path: FILE}}', or train on with others: odenet run "
            f"RUN/config.yaml 'data={{kind: npz, path: FILE}}' "
            f"'start={{run: RUN, last: reinitialise}}'"
        )
