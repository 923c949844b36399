"""The source of the first weights of an experiment: configuration and record."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import Field

from odenet.models.transfer import FirstLayer, LastLayer
from odenet.part import PartConfig
from odenet.training.checkpoint import Which


class StartConfig(PartConfig):
    """Start from the weights and batch statistics of another run, with a new optimiser state."""

    renamed_values: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "first": {"renew": "reinitialise"},
        "last": {"renew": "reinitialise"},
    }

    run: str = Field(min_length=1)
    """Run directory of the source weights; it is read only when this experiment begins."""
    checkpoint: Which = "last"
    """The last checkpoint of that run, or the best on its validation split."""
    first: FirstLayer = "keep"
    """The stem: `keep` its weights; `reinitialise` them by this experiment's `stem.init` and seed,
    for other inputs; or `sum_channels`, for grey images after colour or colour after grey: kernels
    are summed over their channels, or divided by the new number of channels and repeated. A
    normalised grey image then has the same output as the image with repeated channels."""
    last: LastLayer = "keep"
    """The affine map of the head: `keep` its weights, or `reinitialise` them by `head.init`, for
    other classes."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """The source of the first weights of a run, as recorded in `run.json`.

    Attributes:
        run: Absolute path of the source run directory.
        name: Name of its experiment.
        checkpoint: Name of its checkpoint.
        step: Step of the checkpoint.
        sha256: Digest of the manifest of the checkpoint.
        transferred: Paths of the transferred parameters and statistics.
        new: Paths of the initialised parameters and statistics.
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
        """Paths of the transferred parameters, below `params`."""
        return frozenset(
            path.removeprefix("params/") for path in self.transferred if path.startswith("params/")
        )


Begin = Callable[[Any, Any], tuple[Any, Any, Origin]]
"""`(params, statistics) -> (params, statistics, origin)`: from initialised to first weights."""
