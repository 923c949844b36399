"""The order of weights, batch norms, ReLUs and the sum in a residual unit."""

from typing import Literal, NamedTuple

Arrangement = Literal[
    "original",
    "batch_norm_after_addition",
    "relu_before_addition",
    "relu_only_preactivation",
    "full_preactivation",
]


class Order(NamedTuple):
    """The operations around one weight, as letters: W weight, B batch norm, R ReLU.

    Attributes:
        each: The letters, in order.
        after: Number of final operations that act on the sum.
        shared: Number of first operations that act on both shortcut and branch, in a unit with a
            projection shortcut or in the first unit of a network (sec. 4.1 and the appendix of the
            paper).
    """

    each: str
    after: int = 0
    shared: int = 0


ORDER: dict[Arrangement, Order] = {
    "original": Order("WBR", after=1),
    "batch_norm_after_addition": Order("WBR", after=2),
    "relu_before_addition": Order("WBR"),
    "relu_only_preactivation": Order("RWB", shared=1),
    "full_preactivation": Order("BRW", shared=2),
}
