"""Vanishing, exploding or healthy: a verdict on the norms of a gradient over depth, with its rule.

The rule uses measured gradients, never the architecture: an identity term does not by itself
prevent vanishing (a scalar layer `h - h / 2` halves the gradient), and a network without one need
not vanish (orthogonal weights preserve the norm).
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from odenet.errors import ConfigError

DEFAULT_THRESHOLD = 2.0
"""Decades: a factor of 100 between the gradients of two layers."""


@dataclasses.dataclass(frozen=True)
class FlowVerdict:
    """The change of a gradient from the last layer to the first.

    Attributes:
        verdict: `vanishing`, `exploding`, `healthy`, or a text that begins with `not judged` and
            gives the reason.
        rule: The rule applied: `change over depth`, `gradient of zero` or `gradient not finite`.
        reason: The rule with its numbers, one sentence without its full stop.
        threshold: Decades of change that count as none.
        lowest: Decades between the smallest norm and the last layer's; at most 0, None if
            undefined.
        highest: Decades between the largest norm and the last layer's; at least 0, None if
            undefined.
        layer: Index of the norm with the largest change.
        factor_per_layer: Factor of the norm per layer in the backward pass, from a straight
            line through the logarithms.
        fit: Fraction of the variance of the logarithms explained by the line, in [0, 1]; None if
            they do not vary.
        layers_to_threshold: Number of layers after which that factor alone reaches the threshold;
            None if it is 1.
    """

    verdict: str
    rule: str
    reason: str
    threshold: float
    lowest: float | None = None
    highest: float | None = None
    layer: int | None = None
    factor_per_layer: float | None = None
    fit: float | None = None
    layers_to_threshold: float | None = None


def check_threshold(threshold: float) -> None:
    """Refuse a threshold that allows no verdict.

    Raises:
        ConfigError: unless it is a positive number.
    """
    if not (math.isfinite(threshold) and threshold > 0):
        raise ConfigError(
            f"the threshold is a positive number of decades; got {threshold}; give, for instance, "
            f"0.3 for a factor of 2"
        )


def judge_flow(
    norms: Sequence[float],
    threshold: float = DEFAULT_THRESHOLD,
    names: Sequence[str] | None = None,
) -> FlowVerdict:
    r"""Judge the norms of a gradient over depth.

    With $d_\ell = \log_{10}(\lVert g_\ell\rVert / \lVert g_L\rVert)$ it is `vanishing` where some
    $d_\ell < -\text{threshold}$, `exploding` where some $d_\ell > \text{threshold}$ (the larger
    of the two where both are), else `healthy`: at this depth, not at every depth.

    Args:
        norms: One for each layer, first to last, each at least 0.
        threshold: In decades, positive.
        names: Names of the layers in the reason; without them, `layer 0` and so on.

    Raises:
        ConfigError: if the threshold is not a positive number.
    """
    check_threshold(threshold)
    values = np.asarray(norms, np.float64)
    last = len(values) - 1
    names = names or [f"layer {index}" for index in range(len(values))]
    if last < 1:
        return FlowVerdict(
            "not judged: there is one layer", "change over depth",
            "a change over depth needs two layers", threshold,
        )  # fmt: skip
    if not np.isfinite(values).all():
        layer = int(np.flatnonzero(~np.isfinite(values))[-1])
        reason = f"the gradient is not finite at {names[layer]}"
        return FlowVerdict("exploding", "gradient not finite", reason, threshold, layer=layer)
    if values[-1] == 0:
        reason = f"the gradient is exactly 0 at {names[last]}, the last"
        verdict = "not judged: the loss has no gradient"
        return FlowVerdict(verdict, "gradient of zero", reason, threshold, layer=last)
    if (values == 0).any():
        layer = int(np.flatnonzero(values == 0)[-1])
        reason = f"the gradient is exactly 0 at {names[layer]}"
        return FlowVerdict("vanishing", "gradient of zero", reason, threshold, layer=layer)
    return _by_change(np.log10(values) - np.log10(values[-1]), threshold, names)


def _by_change(decades: np.ndarray, threshold: float, names: Sequence[str]) -> FlowVerdict:
    places = np.arange(len(decades))
    layer = int(np.argmax(np.abs(decades)))
    largest = float(decades[layer])
    verdict = "healthy"
    if abs(largest) > threshold:
        verdict = "vanishing" if largest < 0 else "exploding"
    line = np.polyfit(places, decades, 1)
    spread = float(np.sum((decades - decades.mean()) ** 2))
    residue = float(np.sum((decades - np.polyval(line, places)) ** 2))
    slope = float(line[0])
    per_layer = 10.0**-slope
    reason = (
        f"from {names[-1]} back to {names[layer]} the norm changes by {largest:+.2f} decades, and "
        f"{threshold:g} are allowed; on average it is multiplied by {per_layer:.3g} per layer"
    )
    return FlowVerdict(
        verdict,
        "change over depth",
        reason,
        threshold,
        float(decades.min()),
        float(decades.max()),
        layer,
        per_layer,
        None if spread < 1e-20 else max(0.0, 1.0 - residue / spread),
        None if abs(slope) < 1e-12 else threshold / abs(slope),
    )
