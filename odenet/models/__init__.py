"""Models: blocks, projections between blocks, and networks."""

from odenet.models.base import Block as Block
from odenet.models.base import BlockConfig as BlockConfig
from odenet.models.blocks import DepthBlockConfig as DepthBlockConfig
from odenet.models.depth_block import DepthBlock as DepthBlock
from odenet.models.discretisation import Discretisation as Discretisation
from odenet.models.empty_block import EmptyBlock as EmptyBlock
from odenet.models.empty_block import EmptyBlockConfig as EmptyBlockConfig
from odenet.models.feedforward import FeedForwardBlockConfig as FeedForwardBlockConfig
from odenet.models.init import abstract_network as abstract_network
from odenet.models.init import count_parameters as count_parameters
from odenet.models.init import init_network as init_network
from odenet.models.layer_stack import FeedForwardBlock as FeedForwardBlock
from odenet.models.layer_stack import LayerStack as LayerStack
from odenet.models.layer_stack import UnitBlock as UnitBlock
from odenet.models.model_config import ModelConfig as ModelConfig
from odenet.models.model_config import Outputs as Outputs
from odenet.models.network import ClassifierConfig as ClassifierConfig
from odenet.models.network import Network as Network
from odenet.models.network import Prediction as Prediction
from odenet.models.network import RegressorConfig as RegressorConfig
from odenet.models.network import StageConfig as StageConfig
from odenet.models.resnet import ResNetConfig as ResNetConfig
