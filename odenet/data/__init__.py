"""Data: sources with provenance and checksums, data sets, and batches."""

from odenet.data.absent import AbsentConfig
from odenet.data.augment import AugmentConfig, normalize, pad_crop_flip
from odenet.data.dataset import Batch, Dataset, Normalization, Split
from odenet.data.digits import DigitsConfig
from odenet.data.fetch import fetch
from odenet.data.files import PUBLISHED, FileStatus, check, find_data_dir
from odenet.data.images import CIFAR10Config, FashionMNISTConfig, MNISTConfig
from odenet.data.npz import NpzConfig
from odenet.data.peaks import PeaksConfig
from odenet.data.pipeline import TrainingBatches, evaluation_batches, is_small
from odenet.data.reflection import ReflectionConfig
from odenet.data.source import DataConfig
from odenet.data.swiss_roll import SwissRollConfig
from odenet.data.toys import AnnuliConfig, CirclesConfig, SpiralsConfig, TwoMoonsConfig

__all__ = [
    "PUBLISHED",
    "AbsentConfig",
    "AnnuliConfig",
    "AugmentConfig",
    "Batch",
    "CIFAR10Config",
    "CirclesConfig",
    "DataConfig",
    "Dataset",
    "DigitsConfig",
    "FashionMNISTConfig",
    "FileStatus",
    "MNISTConfig",
    "Normalization",
    "NpzConfig",
    "PeaksConfig",
    "ReflectionConfig",
    "SpiralsConfig",
    "Split",
    "SwissRollConfig",
    "TrainingBatches",
    "TwoMoonsConfig",
    "check",
    "evaluation_batches",
    "fetch",
    "find_data_dir",
    "is_small",
    "normalize",
    "pad_crop_flip",
]
