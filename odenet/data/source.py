"""The contract of a source of data: a configuration that builds a `Dataset`."""

import abc
from dataclasses import dataclass
from pathlib import Path

from odenet.data.augment import AugmentConfig
from odenet.data.dataset import Dataset
from odenet.part import PartConfig


@dataclass(frozen=True)
class Outline:
    """What a network needs to know of data, and what a run notes of them.

    Args:
        input_shape: Shape of one example.
        num_outputs: Number of classes, or of values.
        has_classes: Whether targets are classes.
        source: Where the data come from.
        num_train: Number of training examples, or None where there are no data.
    """

    input_shape: tuple[int, ...]
    num_outputs: int
    has_classes: bool
    source: str
    num_train: int | None


class DataConfig(PartConfig, abc.ABC, family="data"):
    """Base of the configuration of every source of data; build it with `config.build(data_dir)`."""

    kind: str

    @abc.abstractmethod
    def build(self, data_dir: Path | None = None) -> Dataset:
        """Read or draw the data.

        Args:
            data_dir: Folder of the published files; None to look where `find_data_dir` looks.
                Sources that draw their points have no files and need none.

        Raises:
            DataError: If files are missing, damaged, or hold something else.
        """
        raise NotImplementedError

    def beside(self, folder: Path) -> "DataConfig":
        """The same, as an experiment file in `folder` means it: for sources without paths, itself.

        Args:
            folder: Of the experiment file.
        """
        del folder
        return self

    def outline(self, data_dir: Path | None = None) -> Outline:
        """What a network needs to know of the data; published sets are not read for it.

        Args:
            data_dir: As in `build`.

        Raises:
            DataError: As `build`, where the data have to be read.
        """
        dataset = self.build(data_dir)
        return Outline(
            dataset.input_shape,
            dataset.num_outputs,
            dataset.num_classes is not None,
            dataset.source,
            len(dataset.train),
        )

    @property
    def augmentation(self) -> AugmentConfig | None:
        """How training images are varied; None for sources that cannot be or are not."""
        return None
