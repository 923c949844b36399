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
    # Full pre-activation has a norm behind the last unit, and branches that end in a convolution.
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
