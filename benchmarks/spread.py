"""Statistics of lists of times: medians, quartiles and exponents."""

import math
import statistics
from collections.abc import Sequence
from typing import Any


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, quartiles and count of `values`; the quartiles are interpolated inclusively."""
    if len(values) == 1:
        low = middle = high = values[0]
    else:
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": middle, "low": low, "high": high, "count": len(values)}


def ratio_of_rounds(ours: Sequence[float], peer: Sequence[float]) -> dict[str, Any]:
    """Spread of the ratios of the times in the same round."""
    return spread([a / b for a, b in zip(ours, peer, strict=True)])


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of a straight line through the logarithms: `p` in `value ~ size^p`."""
    return statistics.linear_regression(
        [math.log(size) for size in sizes], [math.log(value) for value in values]
    ).slope
