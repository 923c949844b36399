"""MATLAB's `peaks` surface: five classes of its height, or the height as a regression target."""

from typing import Literal

import numpy as np
from jaxtyping import Float64

from odenet.data.dataset import Split
from odenet.data.drawn import DrawnConfig, balanced_labels

NUM_CLASSES = 5
GRID = 256
"""Points per side of the grid on which Meganet.m computes the lowest and the highest height."""


class PeaksConfig(DrawnConfig):
    """Points of the square [-3, 3]^2 and the height of `peaks` above them.

    As in `data/setupPeaks.m` of Meganet.m (Haber and Ruthotto 2017, arXiv:1705.03341), but the
    points are drawn from the square and not from a grid, so that no point is in two splits.
    """

    kind: Literal["peaks"] = "peaks"
    target: Literal["class", "height"] = "class"
    """`class`: one of five bins of equal height, with equally many points each; `height`: the
    height as a regression target, with points uniform on the square."""

    def draw(self, rng: np.random.Generator, n: int) -> Split:
        """`n` points; targets int32 `(n,)` or float32 `(n, 1)`."""
        if self.target == "height":
            points = rng.uniform(-3.0, 3.0, (n, 2))
            height = peaks(points)[:, None]
            return Split(points.astype(np.float32), height.astype(np.float32))
        labels = balanced_labels(rng, n, NUM_CLASSES)
        edges = height_bins()
        points = np.empty((n, 2))
        for label in range(NUM_CLASSES):
            members = np.flatnonzero(labels == label)
            points[members] = _draw_in_bin(rng, edges, label, len(members))
        return Split(points.astype(np.float32), labels.astype(np.int32))

    def describe(self) -> tuple[str, int | None]:
        """Source of the surface (MATLAB) and of the classes (Meganet.m)."""
        num_classes = NUM_CLASSES if self.target == "class" else None
        return "MATLAB peaks, as in Haber and Ruthotto 2017, arXiv:1705.03341", num_classes


def peaks(points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, " n"]:
    r"""Height of MATLAB's `peaks` at points `(x, y)`.

    $3 (1-x)^2 e^{-x^2-(y+1)^2} - 10 (x/5 - x^3 - y^5) e^{-x^2-y^2} - e^{-(x+1)^2-y^2} / 3$
    """
    x, y = points[:, 0], points[:, 1]
    return (
        3.0 * (1.0 - x) ** 2 * np.exp(-(x**2) - (y + 1.0) ** 2)
        - 10.0 * (x / 5.0 - x**3 - y**5) * np.exp(-(x**2) - y**2)
        - np.exp(-((x + 1.0) ** 2) - y**2) / 3.0
    )


def height_bins() -> Float64[np.ndarray, " edges"]:
    """The four boundaries between the five classes, equidistant and increasing."""
    side = np.linspace(-3.0, 3.0, GRID)
    x, y = np.meshgrid(side, side)
    height = peaks(np.stack([x.ravel(), y.ravel()], axis=1))
    return np.linspace(height.min(), height.max(), NUM_CLASSES + 1)[1:-1]


def _draw_in_bin(
    rng: np.random.Generator, edges: Float64[np.ndarray, " edges"], label: int, count: int
) -> Float64[np.ndarray, "count 2"]:
    kept = np.empty((0, 2))
    # Every class covers a part of the square of positive area, so the loop ends.
    while len(kept) < count:
        points = rng.uniform(-3.0, 3.0, (10_000, 2))
        # The bins are half-open, (low, high], as in Meganet.m.
        kept = np.concatenate([kept, points[np.searchsorted(edges, peaks(points)) == label]])
    return kept[:count]
