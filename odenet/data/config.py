"""The choice of data: every source there is, by its `kind`."""

from typing import Annotated

from pydantic import Field

from odenet.data.absent import AbsentConfig
from odenet.data.digits import DigitsConfig
from odenet.data.images import CIFAR10Config, FashionMNISTConfig, MNISTConfig
from odenet.data.npz import NpzConfig
from odenet.data.peaks import PeaksConfig
from odenet.data.reflection import ReflectionConfig
from odenet.data.swiss_roll import SwissRollConfig
from odenet.data.toys import AnnuliConfig, CirclesConfig, SpiralsConfig, TwoMoonsConfig

DataConfig = Annotated[
    DigitsConfig
    | TwoMoonsConfig
    | CirclesConfig
    | AnnuliConfig
    | SpiralsConfig
    | SwissRollConfig
    | PeaksConfig
    | ReflectionConfig
    | MNISTConfig
    | FashionMNISTConfig
    | CIFAR10Config
    | NpzConfig
    | AbsentConfig,
    Field(discriminator="kind"),
]
"""Configuration of one source of data; build it with `config.build(data_dir)`."""
