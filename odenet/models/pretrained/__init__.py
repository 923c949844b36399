"""Weights of other frameworks: files of PyTorch, safetensors and Flax, and maps of array names.

`read_weights`, `read_weight_file` and `write_safetensors` read and write files. `convert` and
`export` map names, layouts and shapes, and refuse weights that do not fit entirely. The arrays of
published networks are in `torchvision_arrays` and `cifar_arrays`.
"""

from odenet.models.pretrained.flax_names import in_flax_names as in_flax_names
from odenet.models.pretrained.foreign_names import match_names as match_names
from odenet.models.pretrained.resnet_names import ForeignArray as ForeignArray
from odenet.models.pretrained.resnet_names import cifar_arrays as cifar_arrays
from odenet.models.pretrained.resnet_names import num_parameters as num_parameters
from odenet.models.pretrained.resnet_names import place as place
from odenet.models.pretrained.resnet_names import preactivation_arrays as preactivation_arrays
from odenet.models.pretrained.resnet_names import torchvision_arrays as torchvision_arrays
from odenet.models.pretrained.resnet_places import ARCHITECTURES as ARCHITECTURES
from odenet.models.pretrained.resnet_places import Architecture as Architecture
from odenet.models.pretrained.safetensors_file import write_safetensors as write_safetensors
from odenet.models.pretrained.step_size_folding import fold_step_sizes as fold_step_sizes
from odenet.models.pretrained.weight_file import WeightFile as WeightFile
from odenet.models.pretrained.weight_file import read_weight_file as read_weight_file
from odenet.models.pretrained.weight_file import read_weights as read_weights
from odenet.models.pretrained.weight_map import WeightEntry as WeightEntry
from odenet.models.pretrained.weight_map import WeightMap as WeightMap
from odenet.models.pretrained.weight_map import convert as convert
from odenet.models.pretrained.weight_map import export as export
from odenet.models.pretrained.weight_map import flatten as flatten
from odenet.models.pretrained.weight_map import shapes_of as shapes_of
from odenet.models.pretrained.weight_map_config import WeightMapConfig as WeightMapConfig
