"""The contract of a source of data: a configuration that builds a `Dataset`."""

from abc import abstractmethod
from pathlib import Path

from odenet.data.augment import AugmentConfig
from odenet.data.dataset import Dataset
from odenet.part import PartConfig


class SourceConfig(PartConfig):
    """Base of every configuration of data."""

    @abstractmethod
    def build(self, data_dir: Path | None = None) -> Dataset:
        """Read or draw the data.

        Args:
            data_dir: Folder of the published files; None to look where `find_data_dir` looks.
                Sources that draw their points have no files and need none.

        Raises:
            DataError: If files are missing, damaged, or hold something else.
        """
        raise NotImplementedError

    def beside(self, folder: Path) -> "SourceConfig":
        """The same, as an experiment file in `folder` means it: for sources without paths, itself.

        Args:
            folder: Of the experiment file.
        """
        del folder
        return self

    @property
    def augmentation(self) -> AugmentConfig | None:
        """How training images are varied; None for sources that cannot be or are not."""
        return None
