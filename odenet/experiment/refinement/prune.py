"""Pruning: removes layers of small learned step sizes, into a new run directory."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from odenet.depth.prune import Removal, step_fractions, surviving_layers
from odenet.depth.step_sizes import StepSizesConfig
from odenet.errors import ConfigError
from odenet.experiment.config import ExperimentConfig
from odenet.experiment.refinement.derived import with_blocks, write_derived
from odenet.experiment.refinement.refine import step_size_params
from odenet.experiment.source import read_source
from odenet.models.base import BlockConfig
from odenet.training.checkpoint import Which


@dataclasses.dataclass(frozen=True)
class PrunedStage:
    """The pruning of one stage.

    Attributes:
        stage: Index of the stage, from 0.
        kept_whole: Reason why no layer can be removed, or None.
        taus: Step sizes of the layers before pruning.
        fractions: Relative step sizes, |tau| over the sum of the block.
        kept: Indices of the kept layers.
        removed: Indices of the removed layers.
    """

    stage: int
    kept_whole: str | None
    taus: tuple[float, ...] = ()
    fractions: tuple[float, ...] = ()
    kept: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()


def prune(
    run: Path | str, fraction: float, directory: Path | str, which: Which = "last"
) -> dict[str, Any]:
    """Remove the layers of small step sizes from a trained network, into a new run directory.

    The arrays of the kept layers stay bitwise equal: weights, step sizes, statistics, and optimiser
    moments.

    Args:
        run: A run directory, of a network with a learned step size for every layer.
        fraction: Layers with a smaller relative step size are removed; above 0 and at most 1. One
            layer of each block always stays.
        directory: The new run directory; it must not exist.
        which: The last checkpoint or the best.

    Returns:
        The record in `run.json`: the run, its checkpoint and step, and for every stage the step
        sizes, fractions, and kept and removed layers.

    Raises:
        ConfigError: if no layer of the network can be removed, or no step size is small enough.
        OdenetError: see its other subclasses.
    """
    source, directory = read_source(Path(run), which), Path(directory)
    arrays = source.checkpoint.state
    stages = pruned_stages(source.config, arrays, fraction)
    refuse_whole(stages)
    if not any(stage.removed for stage in stages):
        smallest = min(min(stage.fractions) for stage in stages if stage.fractions)
        raise ConfigError(
            f"no removable layer has a fraction of its block's depth below {fraction:g}; the "
            f"smallest fraction is {smallest:.4g}, and one layer of each block stays"
        )
    config = pruned_config(source.config, stages)

    def change(arrays):
        return select_pruned(arrays, stages, config)

    details = {
        "checkpoint": which,
        "fraction": fraction,
        "stages": [dataclasses.asdict(stage) for stage in stages],
    }
    return write_derived(source, directory, config, change, "pruned", details)


def pruned_stages(
    config: ExperimentConfig,
    arrays: Mapping[str, np.ndarray] | None,
    fraction: float,
    remove: Removal = "all",
    *,
    spare_pairs: bool = False,
) -> list[PrunedStage]:
    """The layers to remove from every stage.

    Args:
        config: The experiment.
        arrays: Its training state by path, or None for the initial step sizes.
        fraction: Layers with a smaller relative step size are removed.
        remove: Whether to remove all of them, or the smallest of each block.
        spare_pairs: Whether a block keeps two layers if a single one would be refused: if its last
            step size is the remainder, or its weights have a smoothness penalty over depth.

    Raises:
        ConfigError: naming the stage.
    """
    return [
        _pruned_stage(index, block, arrays, fraction, remove, spare_pairs)
        for index, block in enumerate(config.model.blocks)
    ]


def select_pruned(
    arrays: Mapping[str, np.ndarray], stages: Sequence[PrunedStage], config: ExperimentConfig
) -> dict[str, np.ndarray]:
    """The arrays of a training state without the removed layers.

    Args:
        arrays: Arrays by path.
        stages: The pruning of every stage.
        config: The pruned experiment.
    """
    kept = {stage.stage: np.asarray(stage.kept) for stage in stages if stage.removed}
    depths = {index: config.model.blocks[index].residual for index in kept}
    sizes = {index: depth.step_sizes for index, depth in depths.items() if depth is not None}
    return select_layers(arrays, kept, sizes)


def select_layers(
    arrays: Mapping[str, np.ndarray],
    kept: Mapping[int, np.ndarray],
    step_sizes: Mapping[int, StepSizesConfig] = {},
) -> dict[str, np.ndarray]:
    """The arrays of a training state with a selection of the layers of some blocks.

    Args:
        arrays: Arrays by path; paths of optimiser moments end in the path of their parameter.
        kept: Indices of the kept layers, by index of the block.
        step_sizes: Step sizes with a pruning rule of their own, by index of the block; without one,
            every layer has one step-size parameter.
    """
    chosen = {}
    for path, leaf in arrays.items():
        found = re.search(r"(?:^|/)blocks/(\d+)/(weights/stacked|step_sizes)/", path)
        chosen[path] = leaf
        if found is None or int(found[1]) not in kept:
            continue
        index, layers = int(found[1]), kept[int(found[1])]
        if found[2] == "step_sizes" and index in step_sizes:
            chosen[path] = step_sizes[index].pruned_leaf(np.asarray(leaf), layers)
        else:
            chosen[path] = np.asarray(leaf)[layers]
    return chosen


def _pruned_stage(
    index: int,
    block: BlockConfig,
    arrays: Mapping[str, np.ndarray] | None,
    fraction: float,
    remove: Removal,
    spare_pairs: bool,
) -> PrunedStage:
    depth = block.residual
    if depth is None:
        return PrunedStage(index, f"block.kind={block.kind} has no step sizes")
    sizes, weights = depth.step_sizes, depth.weights
    if sizes.kept_whole is not None:
        return PrunedStage(index, sizes.kept_whole)
    if not weights.one_per_step(depth.num_steps):
        return PrunedStage(index, "several steps share the weights of a layer")
    params = {} if arrays is None else step_size_params(arrays, index)
    taus = np.asarray(sizes.with_params(depth.num_steps, params).taus())
    least = max(sizes.least_steps, 2 if weights.penalises_change else 1) if spare_pairs else 1
    try:
        kept = surviving_layers(taus, fraction, remove, least)
    except ConfigError as error:
        raise ConfigError(f"model.stages.{index}: {error}") from error
    if len(kept) < sizes.least_steps:
        raise ConfigError(
            f"model.stages.{index}: one layer would stay, and its step size, the {sizes.rule}, "
            f"would not be learned; use a smaller fraction"
        )
    removed = np.setdiff1d(np.arange(len(taus)), kept)
    return PrunedStage(
        index,
        None,
        tuple(taus.tolist()),
        tuple(step_fractions(taus).tolist()),
        tuple(kept.tolist()),
        tuple(removed.tolist()),
    )


def refuse_whole(stages: Sequence[PrunedStage]) -> None:
    """Refuse a network none of whose layers has a learned step of its own.

    Raises:
        ConfigError: naming the reason for every stage.
    """
    if all(stage.kept_whole for stage in stages):
        reasons = "; ".join(f"model.stages.{stage.stage}: {stage.kept_whole}" for stage in stages)
        raise ConfigError(
            f"layers are removed by their learned step sizes, and no stage has one for each of its "
            f"layers ({reasons}); train with step_sizes.kind=learned, sharing=per_layer and "
            f"weights.kind=per_layer, from this run by start.run if its step sizes are fixed"
        )


def pruned_config(config: ExperimentConfig, stages: Sequence[PrunedStage]) -> ExperimentConfig:
    """The experiment without the removed layers."""
    blocks = [
        _pruned_block(block, stage) if stage.removed else block
        for block, stage in zip(config.model.blocks, stages, strict=True)
    ]
    return with_blocks(config, blocks, "pruned")


def _pruned_block(block: BlockConfig, stage: PrunedStage) -> BlockConfig:
    depth = block.residual
    assert depth is not None
    kept = tuple(stage.taus[layer] for layer in stage.kept)
    changes = {
        "num_steps": len(kept),
        "step_sizes": depth.step_sizes.pruned(depth.num_steps, kept),
        "weights": depth.weights.pruned(),
    }
    if len(kept) == 1:
        changes["field"] = depth.field.of_one_layer()
    return depth.model_copy(update=changes)
