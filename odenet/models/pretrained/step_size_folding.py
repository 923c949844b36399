r"""Folding of step sizes into the last weights of a branch, for files without step sizes.

A published unit computes $h + F(h)$; a learned step size makes it $h + \tau F(h)$. If the branch
ends in a batch norm, its scale and bias are multiplied by $\tau$. If it ends in a convolution
without bias, its kernel is multiplied by $\tau$.
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
    """The arrays of the same residual network with step sizes 1.

    Args:
        named: Arrays by the names of the file.
        arrays: Names and parts of the arrays of the file.
        taus: The step sizes of every stage, one for each unit.
    """
    # Full pre-activation has a norm after the last unit, and branches that end in a convolution.
    acts_first = any(array.part == "last_bn" for array in arrays)
    number = "3" if any(array.part == "conv3" for array in arrays) else "2"
    last = ("conv" if acts_first else "bn") + number
    folded = dict(named)
    for array in arrays:
        if array.part == last and array.is_parameter:
            assert array.stage is not None
            assert array.unit is not None
            value = named[array.name]
            folded[array.name] = value * value.dtype.type(taus[array.stage][array.unit])
    return folded
