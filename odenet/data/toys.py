"""Toy classification problems in the plane: moons, circles, annuli and spirals."""

from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float64
from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat

from odenet.data.dataset import Split
from odenet.data.drawn import DrawnConfig, balanced_labels, labelled_points


class TwoMoonsConfig(DrawnConfig):
    """Two interleaving half circles, one per class."""

    kind: Literal["two_moons"] = "two_moons"
    noise: NonNegativeFloat = 0.1
    """Standard deviation of the Gaussian noise on both coordinates."""

    def draw(self, rng: np.random.Generator, n: int) -> Split:
        """`n` points, angles uniform on each half circle (scikit-learn spaces them evenly)."""
        labels = balanced_labels(rng, n, 2)
        angle = rng.uniform(0.0, np.pi, n)
        upper = _polar(np.ones(n), angle)
        points = np.where(labels[:, None] == 0, upper, np.array([[1.0, 0.5]]) - upper)
        return labelled_points(rng, points, labels, self.noise)

    def describe(self) -> tuple[str, int]:
        """Source of the curves: `sklearn.datasets.make_moons`."""
        return "two half circles, as scikit-learn's make_moons", 2


class CirclesConfig(DrawnConfig):
    """Two concentric circles; class 0 is the outer one, of radius 1."""

    kind: Literal["circles"] = "circles"
    noise: NonNegativeFloat = 0.05
    """Standard deviation of the Gaussian noise on both coordinates."""
    factor: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Radius of the inner circle."""

    def draw(self, rng: np.random.Generator, n: int) -> Split:
        """`n` points, angles uniform on each circle (scikit-learn spaces them evenly)."""
        labels = balanced_labels(rng, n, 2)
        radius = np.where(labels == 0, 1.0, self.factor)
        points = _polar(radius, rng.uniform(0.0, 2.0 * np.pi, n))
        return labelled_points(rng, points, labels, self.noise)

    def describe(self) -> tuple[str, int]:
        """Source of the curves: `sklearn.datasets.make_circles`."""
        return "two concentric circles, as scikit-learn's make_circles", 2


def _apart_and_outward(
    radii: tuple[tuple[float, float], ...],
) -> tuple[tuple[float, float], ...]:
    inside_out = all(0.0 <= inner < outer for inner, outer in radii)
    apart = all(first[1] <= second[0] for first, second in pairwise(radii))
    if len(radii) < 2 or not inside_out or not apart:
        raise ValueError(
            "`radii` must list two or more rings [inner, outer] from the centre outwards, with "
            f"0 <= inner < outer and no overlap; got {[list(ring) for ring in radii]}"
        )
    return radii


Radii = Annotated[tuple[tuple[float, float], ...], AfterValidator(_apart_and_outward)]


class AnnuliConfig(DrawnConfig):
    """Concentric rings whose classes alternate 0, 1, 0, ... from the centre outwards.

    A flow in the plane cannot move a ring out of the surrounding ring. A network of the form of a
    neural ODE separates the rings only by the error of its solver (Ott et al. 2021,
    arXiv:2007.15386, Sphere2; Dupont et al. 2019, arXiv:1904.01681).
    """

    kind: Literal["annuli"] = "annuli"
    radii: Radii = ((0.1, 0.15), (0.25, 0.3), (0.4, 0.45))
    """Inner and outer radius of each ring; rings may touch but not overlap."""

    def draw(self, rng: np.random.Generator, n: int) -> Split:
        r"""`n` points, half of each class, the points of a class divided evenly among its rings.

        The angle is uniform and the radius is $r_0 + (r_1 - r_0) \sqrt u$ with `u` uniform, as in
        the code of both papers. This is nearly, not exactly, uniform on the ring.
        """
        labels = balanced_labels(rng, n, 2)
        edges = np.array(self.radii)
        ring = np.empty(n, dtype=np.int64)
        for label in (0, 1):
            members = np.flatnonzero(labels == label)
            rings = np.arange(label, len(edges), 2)
            ring[members] = rings[np.arange(len(members)) % len(rings)]
        inner, outer = edges[ring, 0], edges[ring, 1]
        radius = inner + (outer - inner) * np.sqrt(rng.uniform(size=n))
        return labelled_points(rng, _polar(radius, rng.uniform(0.0, 2.0 * np.pi, n)), labels, 0.0)

    def describe(self) -> tuple[str, int]:
        """Source of the rings and of their fractions of the points: Sphere2 of Ott et al."""
        return "concentric annuli, Sphere2 of Ott et al. 2021, arXiv:2007.15386", 2


class SpiralsConfig(DrawnConfig):
    """Arms of an Archimedean spiral around the origin, one per class.

    The two-spirals problem of Lang and Witbrock 1988, generalised to any number of arms.
    """

    kind: Literal["spirals"] = "spirals"
    num_classes: int = Field(default=2, ge=2)
    """Number of arms."""
    turns: PositiveFloat = 1.5
    """Number of turns of each arm from the origin to radius 1."""
    noise: NonNegativeFloat = 0.02
    """Standard deviation of the Gaussian noise on both coordinates."""

    def draw(self, rng: np.random.Generator, n: int) -> Split:
        """`n` points of radius 0.1 to 1, nearly uniform along each arm."""
        labels = balanced_labels(rng, n, self.num_classes)
        # The length of an arm grows with the square of its radius; below 0.1 the arms would meet.
        radius = np.sqrt(rng.uniform(0.01, 1.0, n))
        angle = 2.0 * np.pi * (self.turns * radius + labels / self.num_classes)
        return labelled_points(rng, _polar(radius, angle), labels, self.noise)

    def describe(self) -> tuple[str, int]:
        """Source of the problem: Lang and Witbrock; the distribution of the points is our own."""
        return "Archimedean spirals, after Lang and Witbrock 1988", self.num_classes


def _polar(
    radius: Float64[np.ndarray, " n"], angle: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, "n 2"]:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
