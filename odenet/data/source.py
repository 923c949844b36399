"""The contract of a source of data: a configuration that builds a `Dataset`."""

import abc
from dataclasses import dataclass
from pathlib import Path

from odenet.data.augment import AugmentConfig
from odenet.data.dataset import Dataset
from odenet.part import PartConfig


@dataclass(frozen=True)
class Outline:
    """Properties of a data set that a network and the record of a run need.

    Args:
        input_shape: Shape of one example.
        num_outputs: Number of classes, or of values.
        has_classes: Whether targets are classes.
        source: Provenance of the data.
        num_train: Number of training examples; None for absent data.
    """

    input_shape: tuple[int, ...]
    num_outputs: int
    has_classes: bool
    source: str
    num_train: int | None


class DataConfig(PartConfig, abc.ABC, family="data"):
    """Base of the configurations of all sources of data; `config.build(data_dir)` builds one."""

    kind: str

    @abc.abstractmethod
    def build(self, data_dir: Path | None = None) -> Dataset:
        """Read or draw the data.

        Args:
            data_dir: Folder of the published files; None for that of `find_data_dir`. Synthetic
                sources have no files and do not use it.

        Raises:
            DataError: If files are missing, damaged, or have other contents.
        """
        raise NotImplementedError

    def beside(self, folder: Path) -> "DataConfig":
        """Resolve relative paths against the folder of an experiment file.

        Args:
            folder: Folder of the experiment file.

        Returns:
            The configuration with resolved paths; itself for a source without paths.
        """
        del folder
        return self

    def outline(self, data_dir: Path | None = None) -> Outline:
        """The properties of the data that a network needs; published sets are not read for it.

        Args:
            data_dir: As in `build`.

        Raises:
            DataError: As in `build`, if the data must be read.
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
        """The augmentation of training images; None for a source without one."""
        return None
