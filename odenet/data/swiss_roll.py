"""The two-class Swiss roll of Haber and Ruthotto: a fixed set of points without a seed."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from odenet.data.dataset import Dataset, Split, identity_normalization, measure_normalization
from odenet.data.source import DataConfig


class SwissRollConfig(DataConfig):
    r"""Two spirals, $r = s$ and $r = 0.2 + s$ with $\theta = 4\pi s$, $s$ evenly spaced in [0, 1].

    As in `data/setupSwissRoll.m` of Meganet.m, the code of Haber and Ruthotto 2017
    (arXiv:1705.03341): `2 half + 1` points per class, one class after the other. Every second point
    is for training, the others are for validation. The test points, which the paper does not have,
    are at the midpoints of `s` between neighbours.
    """

    kind: Literal["swiss_roll"] = "swiss_roll"
    half: int = Field(default=256, ge=1)
    """Half the number of intervals of each spiral; splits have about twice as many points."""
    normalize: bool = False
    """Whether to normalise coordinates to mean 0 and standard deviation 1."""

    def build(self, data_dir: Path | None = None) -> Dataset:
        """Compute the points; `data_dir` is not used."""
        count = 2 * self.half + 1
        s = np.linspace(0.0, 1.0, count)
        whole = _both_spirals(s)
        train = Split(whole.inputs[0::2], whole.targets[0::2])
        measure = measure_normalization if self.normalize else identity_normalization
        return Dataset(
            name="swiss_roll",
            source="Swiss roll, Meganet.m, Haber and Ruthotto 2017, arXiv:1705.03341",
            train=train,
            validation=Split(whole.inputs[1::2], whole.targets[1::2]),
            test=_both_spirals((s[:-1] + s[1:]) / 2.0),
            num_classes=2,
            normalization=measure(train.inputs),
        )


def _both_spirals(s: np.ndarray) -> Split:
    theta = np.tile(4.0 * np.pi * s, 2)
    radius = np.concatenate([s, 0.2 + s])
    points = np.stack([radius * np.cos(theta), radius * np.sin(theta)], axis=1)
    return Split(points.astype(np.float32), np.repeat(np.arange(2, dtype=np.int32), len(s)))
