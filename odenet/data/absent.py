"""Placeholder for the training data of an imported weight file."""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from odenet.data.dataset import Dataset
from odenet.data.source import DataConfig, Outline
from odenet.errors import DataError


class AbsentConfig(DataConfig):
    """Absent data, which `odenet import` records if a weight file fits no available data set.

    The network has the classes and channels of the file. Another run can start from it with other
    data: `data={...}`, `start={run: RUN, last: reinitialise}`. It can be evaluated on data of the
    same shape and classes.
    """

    kind: Literal["absent"] = "absent"
    shape: tuple[PositiveInt, ...] = Field(min_length=1, max_length=3)
    """Shape of one input: `[height, width, channels]` or `[features]`."""
    num_classes: int | None = Field(default=None, ge=2)
    """Number of classes of a classifier; exclusive with `num_values`."""
    num_values: PositiveInt | None = None
    """Number of values of a regressor; exclusive with `num_classes`."""

    @model_validator(mode="after")
    def _one_of_two(self):
        if (self.num_classes is None) == (self.num_values is None):
            raise ValueError("data.kind=absent has num_classes or num_values; give one of the two")
        return self

    def outline(self, data_dir: Path | None = None) -> Outline:
        """The outline of the absent data, from the options."""
        del data_dir
        outputs = self.num_classes or self.num_values
        assert outputs is not None
        source = "absent: the training data of an imported weight file"
        return Outline(self.shape, outputs, self.num_classes is not None, source, None)

    def build(self, data_dir: Path | None = None) -> Dataset:
        """Raise an error: there are no data to build.

        Raises:
            DataError: Always; the message names the alternatives.
        """
        del data_dir
        outputs = f"{self.num_classes} classes" if self.num_classes else f"{self.num_values} values"
        shape = "x".join(map(str, self.shape))
        raise DataError(
            f"data.kind=absent is a placeholder for the data of an imported weight file, inputs of "
            f"shape {shape} and {outputs}; give data of the same kind, such as "
            f"'data={{kind: npz, path: FILE}}', or train on other data: odenet run "
            f"RUN/config.yaml 'data={{kind: npz, path: FILE}}' "
            f"'start={{run: RUN, last: reinitialise}}'"
        )
