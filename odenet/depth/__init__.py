"""The depth axis: step sizes, grids, and weights over depth."""

from odenet.depth.expansion import BasisWeightsConfig as BasisWeightsConfig
from odenet.depth.expansion import FieldExpansion as FieldExpansion
from odenet.depth.weights import FieldStack as FieldStack
from odenet.depth.weights import PerLayerWeightsConfig as PerLayerWeightsConfig
from odenet.depth.weights import SharedWeightsConfig as SharedWeightsConfig
from odenet.depth.weights import SharedWithTimeWeightsConfig as SharedWithTimeWeightsConfig
from odenet.depth.weights_config import WeightsConfig as WeightsConfig
