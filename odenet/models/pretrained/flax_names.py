"""Array names of Flax's own residual networks.

The names are those of `examples/imagenet/models.py` of Flax. Units are numbered over all stages,
`ResNetBlock_0` or `BottleneckResNetBlock_0`; convolutions and norms are numbered from 0 within a
unit.
"""

import re
from collections.abc import Sequence

from odenet.models.pretrained.resnet_names import ForeignArray
from odenet.models.pretrained.weight_map import WeightEntry, WeightMap

_TENSORS = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}


def in_flax_names(known: WeightMap, arrays: Sequence[ForeignArray]) -> WeightMap:
    """The map of names of a residual network for the names and layouts of Flax.

    Args:
        known: The map for the names of PyTorch's files.
        arrays: The arrays of PyTorch's files, in the order of the layers.
    """
    units = sorted({(a.stage, a.unit) for a in arrays if a.stage is not None})
    is_bottleneck = any(array.part == "conv3" for array in arrays)
    block = "BottleneckResNetBlock" if is_bottleneck else "ResNetBlock"
    names = {}
    for array in arrays:
        where = "" if array.stage is None else f"{block}_{units.index((array.stage, array.unit))}."
        names[array.name] = f"{_collection(array)}.{where}{_part(array)}.{_tensor(array)}"
    entries = (WeightEntry(names[e.foreign], e.ours, "same", e.layer) for e in known.entries)
    return WeightMap(tuple(entries), known.ignored)


def _collection(array: ForeignArray) -> str:
    return "params" if array.is_parameter else "batch_stats"


def _part(array: ForeignArray) -> str:
    named = {"fc": "Dense_0", "downsample.0": "conv_proj", "downsample.1": "norm_proj"}
    if array.stage is None:
        named |= {"conv1": "conv_init", "bn1": "bn_init", "last_bn": "bn_last"}
    if array.part in named:
        return named[array.part]
    kind = "Conv" if array.part.startswith("conv") else "BatchNorm"
    return f"{kind}_{int(re.sub(r'[a-z]', '', array.part)) - 1}"


def _tensor(array: ForeignArray) -> str:
    is_norm = array.part.startswith("bn") or array.part in ("downsample.1", "last_bn")
    if is_norm:
        return _TENSORS[array.tensor]
    return "kernel" if array.tensor == "weight" else array.tensor
