"""The changes of depth that a schedule may ask for, made on one network."""

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from odenet.depth.prune import Removal
from odenet.depth.refine import Prolongation
from odenet.depth.schedule import Change, ChangeableNetwork
from odenet.experiment.config import ExperimentConfig
from odenet.experiment.refinement.adaptable import adaptable_blocks, with_steps
from odenet.experiment.refinement.derived import Arrays, with_blocks
from odenet.experiment.refinement.prune import (
    pruned_config,
    pruned_stages,
    refuse_whole,
    select_pruned,
)
from odenet.experiment.refinement.refine import refined_stages, stage_sizes, transferred
from odenet.experiment.refinement.refined_stage import Refinement


@dataclasses.dataclass(frozen=True)
class DepthChange(Change):
    """What happens to a network at a step.

    Attributes:
        config: The experiment with the new network.
        arrays: From the arrays of the training state of the old network to those of the new one.
        record: What is written down about it.
    """

    config: ExperimentConfig
    arrays: Callable[[Arrays], dict[str, np.ndarray]]
    record: dict[str, Any]

    @property
    def network(self) -> "NetworkSurgery":
        """The network after it, its parameters not known."""
        return NetworkSurgery(self.config)

    def noting(self, **details: Any) -> "DepthChange":
        """The same change, with more in its record."""
        return dataclasses.replace(self, record=self.record | details)


@dataclasses.dataclass(frozen=True)
class NetworkSurgery(ChangeableNetwork):
    """A network that a depth schedule looks at (`odenet.depth.schedule.ChangeableNetwork`).

    Attributes:
        config: The experiment with the network as it is.
        arrays: By path, the training state, or the parameters of its step sizes at least; None
            where they are not known, for step sizes as they begin.
        measure: Validation accuracy by an explicit method in a number of steps; None before
            training.
    """

    config: ExperimentConfig
    arrays: Arrays | None = None
    measure: Callable[[int, str], float] | None = None

    @property
    def num_steps(self) -> list[int]:
        """Number of steps of every block whose depth is time."""
        depths = [block.residual for block in self.config.model.blocks]
        return [depth.num_steps for depth in depths if depth is not None]

    @property
    def is_classifier(self) -> bool:
        """Whether the network has an accuracy."""
        return self.config.model.is_classifier

    def refined(self, factor: int, prolongation: Prolongation) -> DepthChange:
        """Every layer divided into `factor` ones."""
        asked = Refinement(Fraction(factor), prolongation=prolongation)
        stages = refined_stages(self.config, asked, self.arrays)
        new = with_blocks(self.config, [stage.block for stage in stages], "refined")
        return DepthChange(new, lambda arrays: transferred(arrays, stages), self._record(new))

    def pruned(self, fraction: float, remove: Removal) -> DepthChange | None:
        """Without the layers of small steps, or None where no layer is small enough.

        A block keeps two layers where one would be refused.
        """
        stages = pruned_stages(self.config, self.arrays, fraction, remove, spare_pairs=True)
        if not any(stage.removed for stage in stages):
            return None
        new = pruned_config(self.config, stages)
        sizes = self._record(new)["stages"]
        for size, stage in zip(sizes, stages, strict=True):
            if not stage.kept_whole:
                size |= {"removed": stage.removed, "fractions": stage.fractions}
        return DepthChange(
            new, lambda arrays: select_pruned(arrays, stages, new), {"stages": sizes}
        )

    def with_num_steps(self, num_steps: int) -> DepthChange:
        """By explicit Euler in another number of steps, on the same weights and horizon."""
        new = with_steps(self.config, num_steps)
        return DepthChange(new, dict, self._record(new))

    def accuracy(self, num_steps: int, method: str) -> float:
        """Accuracy on the validation split, by an explicit method in so many steps."""
        assert self.measure is not None, "a network is measured in training alone"
        return self.measure(num_steps, method)

    def check_prunable(self) -> None:
        """Refuse a network none of whose layers has a learned step of its own."""
        refuse_whole(pruned_stages(self.config, None, 1.0, "smallest", spare_pairs=True))

    def check_num_steps_free(self, who: str) -> None:
        """Refuse a network whose number of steps cannot change while its weights stay."""
        adaptable_blocks(self.config, who)

    def _record(self, new: ExperimentConfig) -> dict[str, Any]:
        return {"stages": stage_sizes(self.config.model.blocks, new.model.blocks)}
