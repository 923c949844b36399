"""The changes of depth that a schedule can make on a network."""

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
    """A change of depth of a network at a step.

    Attributes:
        config: The experiment with the new network.
        arrays: Maps the arrays of the old training state to those of the new one.
        record: The record of the change for `levels.json`.
    """

    config: ExperimentConfig
    arrays: Callable[[Arrays], dict[str, np.ndarray]]
    record: dict[str, Any]

    @property
    def network(self) -> "NetworkSurgery":
        """The network after the change, without its parameters."""
        return NetworkSurgery(self.config)

    def noting(self, **details: Any) -> "DepthChange":
        """The same change, with further entries in its record."""
        return dataclasses.replace(self, record=self.record | details)


@dataclasses.dataclass(frozen=True)
class NetworkSurgery(ChangeableNetwork):
    """A network in the form of depth schedules (`odenet.depth.schedule.ChangeableNetwork`).

    Attributes:
        config: The experiment with the present network.
        arrays: The training state by path, or at least the parameters of its step sizes; None for
            the initial step sizes.
        measure: Validation accuracy by number of steps and explicit method; None before training.
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
        """The change that divides every layer into `factor` layers."""
        asked = Refinement(Fraction(factor), prolongation=prolongation)
        stages = refined_stages(self.config, asked, self.arrays)
        new = with_blocks(self.config, [stage.block for stage in stages], "refined")
        return DepthChange(new, lambda arrays: transferred(arrays, stages), self._record(new))

    def pruned(self, fraction: float, remove: Removal) -> DepthChange | None:
        """The change that removes layers of small step sizes, or None if there are none.

        A block keeps two layers if a single one would be refused.
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
        """The change to `num_steps` explicit Euler steps, with the same weights and horizon."""
        new = with_steps(self.config, num_steps)
        return DepthChange(new, dict, self._record(new))

    def accuracy(self, num_steps: int, method: str) -> float:
        """Accuracy on the validation split, by `num_steps` steps of an explicit method."""
        assert self.measure is not None, "accuracy is measured only during training"
        return self.measure(num_steps, method)

    def check_prunable(self) -> None:
        """Refuse a network none of whose layers has a learned step of its own."""
        refuse_whole(pruned_stages(self.config, None, 1.0, "smallest", spare_pairs=True))

    def check_num_steps_free(self, who: str) -> None:
        """Refuse a network whose number of steps cannot change with unchanged weights."""
        adaptable_blocks(self.config, who)

    def _record(self, new: ExperimentConfig) -> dict[str, Any]:
        return {"stages": stage_sizes(self.config.model.blocks, new.model.blocks)}
