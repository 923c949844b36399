"""Where the first weights of an experiment come from: what is asked, and what is recorded."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import Field

from odenet.models.transfer import FirstLayer, LastLayer
from odenet.part import PartConfig
from odenet.training.checkpoint import Which


class StartConfig(PartConfig):
    """Start from the weights and batch statistics of another run; the optimiser starts afresh."""

    renamed_values: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "first": {"renew": "reinitialise"},
        "last": {"renew": "reinitialise"},
    }

    run: str = Field(min_length=1)
    """Run directory whose weights are taken; it is read when this experiment begins, never
    again."""
    checkpoint: Which = "last"
    """The last weights of that run, or the best on its validation split."""
    first: FirstLayer = "keep"
    """The stem: `keep` its weights; `reinitialise` them by this experiment's `stem.init` and seed,
    for other inputs; or `sum_channels`, for grey images after colour or colour after grey: kernels
    are summed over their channels, or divided by the new number and repeated. A grey image, once
    normalised, then gives what it gave with its channels repeated."""
    last: LastLayer = "keep"
    """The affine map of the head: `keep` its weights, or `reinitialise` them by `head.init`, for
    other classes."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where the first weights of a run came from, as its `run.json` records it.

    Attributes:
        run: Absolute path of the run directory that they came from.
        name: Name of its experiment.
        checkpoint: Which of its checkpoints.
        step: The step of that checkpoint.
        sha256: Digest of that checkpoint's manifest.
        transferred: Paths of the parameters and statistics that came from there.
        new: Paths of those that were initialised.
    """

    run: str
    name: str
    checkpoint: Which
    step: int
    sha256: str
    transferred: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def transferred_params(self) -> frozenset[str]:
        """Paths of the parameters that came from there, below `params`."""
        return frozenset(
            path.removeprefix("params/") for path in self.transferred if path.startswith("params/")
        )


Begin = Callable[[Any, Any], tuple[Any, Any, Origin]]
"""`(params, statistics) -> (params, statistics, origin)`: from initial to first weights."""
