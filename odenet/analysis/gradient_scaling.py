r"""The gradient at the input of a network as a function of its depth: a power law.

Haber and Ruthotto 2017 (arXiv:1705.03341, section 3) ask that the gradient of a deep network
neither explodes nor vanishes. Over a depth-time $T$ in $N$ steps, $\partial L/\partial Y_0$ tends
to that of an ODE as $N$ grows if the weights tend to a function of depth: it is then independent of
depth. Weights of layers that are initialised or trained one by one need not have a limit; the
exponent $p$ of $\lVert\partial L/\partial Y_0\rVert \approx c N^p$ measures the change of the
gradient over depth.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from odenet.analysis.gradient_verdict import check_threshold

Verdict = Literal["flat", "grows", "falls", "not finite", "zero", "not judged: one depth"]


@dataclasses.dataclass(frozen=True)
class DepthGradient:
    """The gradient of the loss at both ends of a network of one depth.

    Attributes:
        num_steps: Steps of all its blocks, at least 1.
        seed: Seed of its training.
        horizon: Depth-time of all its blocks; None in a feed-forward network.
        first: $\\lVert\\partial L/\\partial Y_0\\rVert$, at the input of the first block; None if
            it is not finite.
        last: $\\lVert\\partial L/\\partial Y_N\\rVert$, at the output of the last; None if it is
            not finite.
    """

    num_steps: int
    seed: int
    horizon: float | None
    first: float | None
    last: float | None

    @property
    def transport(self) -> float | None:
        """`first` over `last`, the growth in the backward pass; None if it has no value."""
        return None if self.first is None or not self.last else self.first / self.last


@dataclasses.dataclass(frozen=True)
class Scaling:
    """A power law through norms at several depths, by least squares of the logarithms.

    Attributes:
        verdict: `flat`, `grows` or `falls`; else the reason why none applies.
        exponent: Decades of the norm over decades of depth; None if it is not judged.
        standard_error: Standard error of the exponent, from the residuals; None for two points.
        decades: Change of the fitted line from the least depth to the greatest.
    """

    verdict: Verdict
    exponent: float | None = None
    standard_error: float | None = None
    decades: float | None = None


def scaling(depths: Sequence[int], norms: Sequence[float | None], threshold: float) -> Scaling:
    """Fit a power law of depth, and judge whether it is flat.

    Args:
        depths: Numbers of steps, each at least 1; several norms at one depth are allowed.
        norms: One for each depth, at least 0; None for an undefined norm.
        threshold: Decades of change over the range of depths that count as none, positive.

    Raises:
        ConfigError: as `check_threshold`.
    """
    check_threshold(threshold)
    values = np.array([math.nan if norm is None else norm for norm in norms], np.float64)
    if not np.isfinite(values).all():
        return Scaling("not finite")
    if (values == 0).any():
        return Scaling("zero")
    if len(set(depths)) < 2:
        return Scaling("not judged: one depth")
    x, y = np.log10(np.asarray(depths, np.float64)), np.log10(values)
    centred = x - x.mean()
    spread = float(centred @ centred)
    exponent = float(centred @ y) / spread
    decades = exponent * float(x.max() - x.min())
    error = None
    if len(x) > 2:
        residues = y - y.mean() - exponent * centred
        error = math.sqrt(float(residues @ residues) / (len(x) - 2) / spread)
    if abs(decades) <= threshold:
        return Scaling("flat", exponent, error, decades)
    return Scaling("grows" if decades > 0 else "falls", exponent, error, decades)
