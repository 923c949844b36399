"""Conversion of weights between odenet's layouts and torch's.

Weights are dicts of arrays by dotted names, in odenet's layouts. The `kernel` of a convolution is
`(height, width, inputs, outputs)`, that of an affine map `(inputs, outputs)`. Norms have `scale`
and `bias`; batch norms also have the running `mean` and `var`. Names of modules are the same in
torch; only the last part of a name is converted. A `time` kernel next to a `kernel` is the part of
a convolution that acts on the time channel; in torchdiffeq's example this is the first channel.
"""

import numpy as np

from benchmarks.declaration import Arrays

_TO_TORCH = {"mean": "running_mean", "var": "running_var", "kernel": "weight", "scale": "weight"}


def to_torch(weights: Arrays) -> Arrays:
    """The arrays by torch's names, in torch's layouts."""
    found: Arrays = {}
    for name, array in weights.items():
        module, _, leaf = name.rpartition(".")
        prefix = f"{module}." if module else ""
        if leaf == "time":
            continue
        if leaf == "kernel":
            time = weights.get(f"{prefix}time")
            whole = array if time is None else np.concatenate([time, array], axis=2)
            array = whole.transpose(3, 2, 0, 1) if whole.ndim == 4 else whole.T
        found[prefix + _TO_TORCH.get(leaf, leaf)] = array
    return found


def from_torch(arrays: Arrays, like: Arrays) -> Arrays:
    """The inverse of `to_torch`, for arrays whose names and shapes are those of `like`.

    Args:
        arrays: Parameters or their gradients by torch's names.
        like: Weights by odenet's names; those that `arrays` lacks are left out.
    """
    found: Arrays = {}
    for name, shape in {name: array.shape for name, array in like.items()}.items():
        module, _, leaf = name.rpartition(".")
        prefix = f"{module}." if module else ""
        torch_leaf = "weight" if leaf == "time" else _TO_TORCH.get(leaf, leaf)
        if prefix + torch_leaf not in arrays:
            continue
        array = arrays[prefix + torch_leaf]
        if leaf in ("kernel", "time"):
            array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        if leaf == "time":
            array = array[:, :, :1]
        elif leaf == "kernel" and f"{prefix}time" in like:
            array = array[:, :, 1:]
        found[name] = array
        assert array.shape == shape, name
    return found
