r"""Step sizes in files that know none: folded into what the branch is linear in.

A published unit adds its branch, $h + F(h)$; a learned step size makes it $h + \tau F(h)$. Where
the branch ends in a batch norm, $\tau$ times its scale and bias is the same; where it ends in a
convolution without bias, $\tau$ times its kernel.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Shaped

from odenet.models.pretrained.resnet_names import ForeignArray


def fold_step_sizes(
    named: Mapping[str, Shaped[np.ndarray, "..."]],
    arrays: Sequence[ForeignArray],
    taus: Sequence[Shaped[np.ndarray, " units"]],
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The arrays of a residual network whose units add their branches as they are.

    Args:
        named: Arrays by the names of the file.
        arrays: What the file calls what.
        taus: The step sizes of every stage, one for each unit.
    """
    last = _last_parts(arrays)
    folded = dict(named)
    for array in arrays:
        if array.stage is None or array.unit is None or not array.is_parameter:
            continue
        if array.part == last[array.stage, array.unit]:
            value = named[array.name]
            folded[array.name] = value * value.dtype.type(taus[array.stage][array.unit])
    return folded


def _last_parts(arrays: Sequence[ForeignArray]) -> dict[tuple[int, int], str]:
    """What each branch ends in; the arrays are in the order of the layers."""
    ends: dict[tuple[int, int], str] = {}
    for array in arrays:
        within = array.stage is not None and array.unit is not None
        if within and not array.part.startswith("downsample"):
            assert array.stage is not None
            assert array.unit is not None
            ends[array.stage, array.unit] = array.part
    return ends
