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
    """Letters that stand once for every weight: W weight, B batch norm, R ReLU.

    Attributes:
        each: The letters.
        after: How many of the last ones act on the sum.
        shared: How many of the first ones act before the two paths part, where a unit projects
            its shortcut or is the first of a network (sec. 4.1 and the appendix of the paper).
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
