"""Data: sources that say where they come from and how they are checked, and batches of them."""

from odenet.data.augment import AugmentConfig, normalize, pad_crop_flip
from odenet.data.config import DataConfig
from odenet.data.dataset import Batch, Dataset, Normalization, Split
from odenet.data.fetch import fetch
from odenet.data.files import PUBLISHED, FileStatus, check, find_data_dir
from odenet.data.pipeline import TrainingBatches, evaluation_batches, is_small
from odenet.data.source import SourceConfig

__all__ = [
    "PUBLISHED",
    "AugmentConfig",
    "Batch",
    "DataConfig",
    "Dataset",
    "FileStatus",
    "Normalization",
    "SourceConfig",
    "Split",
    "TrainingBatches",
    "check",
    "evaluation_batches",
    "fetch",
    "find_data_dir",
    "is_small",
    "normalize",
    "pad_crop_flip",
]
