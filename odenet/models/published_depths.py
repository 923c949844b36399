"""Published depths of residual networks, and their units.

References: [1] He et al. 2015, arXiv:1512.03385, table 1. [2] He et al. 2016, arXiv:1603.05027.
"""

IMAGENET_UNITS: dict[int, tuple[int, ...]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Number of units in each stage, by the depth of the network [1, table 1]."""

BOTTLENECK_FROM = 50
"""Networks for ImageNet consist of bottlenecks from this depth on [1, table 1]."""

CIFAR_BOTTLENECKS = (164, 1001)
"""Depths of networks for CIFAR that were published with bottlenecks [2, table 2 and 3]."""


def require_whole_units(depth: int, layout: str, unit: str) -> None:
    """Refuse a depth that does not divide into three equal stages of units.

    Args:
        depth: Number of layers with weights.
        layout: The layout, for the message.
        unit: `basic`, of two weights, or `bottleneck`, of three.

    Raises:
        ValueError: naming the nearest depths.
    """
    weights = 6 if unit == "basic" else 9
    units, rest = divmod(depth - 2, weights)
    if rest or units < 2:
        near = [weights * n + 2 for n in range(max(units - 1, 2), max(units, 2) + 2)]
        raise ValueError(
            f"depth of layout={layout} with {unit} units is {weights} n + 2, n at least 2; got "
            f"{depth}; nearest: {near}"
        )
