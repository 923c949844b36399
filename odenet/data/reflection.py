"""Reflection of the line: the target of a number is its negative."""

from typing import Literal

import numpy as np

from odenet.data.dataset import Split
from odenet.data.drawn import DrawnConfig, balanced_labels


class ReflectionConfig(DrawnConfig):
    """Numbers `x` and the target `-x`, without noise.

    A flow on the line keeps the order of its states. The mean squared error of a neural ODE of
    width 1 whose output is its state is therefore at least 1 on the two ends; it is 1 if both ends
    go to 0 (Dupont et al. 2019, arXiv:1904.01681, sec. 3; Massaroli et al. 2020,
    arXiv:2002.08071).
    """

    kind: Literal["reflection"] = "reflection"
    points: Literal["ends", "interval"] = "ends"
    """`ends`: -1 and 1, equally many of each; `interval`: uniform on [-1, 1]."""

    def draw(self, rng: np.random.Generator, n: int) -> Split:
        """`n` numbers, inputs and targets float32 `(n, 1)`."""
        if self.points == "ends":
            x = 2.0 * balanced_labels(rng, n, 2)[:, None] - 1.0
        else:
            x = rng.uniform(-1.0, 1.0, (n, 1))
        return Split(x.astype(np.float32), (-x).astype(np.float32))

    def describe(self) -> tuple[str, int | None]:
        """Source of the map: Dupont et al. for two points, Massaroli et al. for the interval."""
        return "x to -x, as in Dupont et al. 2019, arXiv:1904.01681", None
