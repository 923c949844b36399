"""A trained network without the layers whose learned step is small, as a run of its own."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from odenet.depth.prune import step_shares, surviving_layers
from odenet.depth.step_sizes import LearnedStepSizesConfig
from odenet.depth.weights import PerLayerWeightsConfig
from odenet.errors import ConfigError
from odenet.experiment.config import ExperimentConfig, parse_config, to_values, to_yaml
from odenet.experiment.directory import (
    CONFIG,
    RUN,
    STATUS,
    RunDirectory,
    full_disk_named,
    read_json,
)
from odenet.experiment.run import provenance
from odenet.experiment.source import Source, read_source
from odenet.models import DepthBlockConfig
from odenet.models.blocks import BlockConfig
from odenet.training.checkpoint import Checkpoint, Checkpointer, Which
from odenet.training.loop import Progress


@dataclasses.dataclass(frozen=True)
class PrunedStage:
    """What was done to one stage.

    Attributes:
        stage: Its number, from 0.
        kept_whole: Why no layer could be removed, or None.
        taus: Step sizes of its layers before.
        shares: Their parts of the depth of the block.
        kept: Indices of the layers that stay.
        removed: Indices of those that went.
    """

    stage: int
    kept_whole: str | None
    taus: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    kept: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()


def prune(
    run: Path | str, share: float, directory: Path | str, which: Which = "last"
) -> dict[str, Any]:
    """Remove the layers of small step sizes from a trained network, into a new run directory.

    What stays keeps every bit: weights, step sizes, statistics, and moments of the optimiser.

    Args:
        run: A run directory, of a network with a learned step size for every layer.
        share: Layers whose part of the depth of their block is smaller go, above 0 and at most 1;
            one layer always stays.
        directory: Where the pruned network is written; it must not exist.
        which: The last checkpoint or the best.

    Returns:
        What `run.json` records: the run, its checkpoint and step, and for every stage the layers
        with their step sizes, shares, and which of them went.

    Raises:
        ConfigError: if no layer of the network can be removed, or none is small enough.
        OdenetError: as its other children say.
    """
    source, directory = read_source(Path(run), which), Path(directory)
    arrays = source.checkpoint.state
    stages = [
        _look_at(index, block, arrays, share)
        for index, block in enumerate(source.config.model.blocks)
    ]
    _refuse_without_effect(stages, share)
    config = _pruned_config(source.config, stages)
    starts = _start_checkpoint(source)
    record = {
        "run": str(source.directory.absolute()),
        "checkpoint": which,
        "step": source.checkpoint.step,
        "sha256": source.checkpoint.sha256,
        "share": share,
        "stages": [dataclasses.asdict(stage) for stage in stages],
    }
    about: dict[str, Any] = read_json(source.directory / RUN)
    about |= provenance(Path(about["data_dir"]), jax.devices()) | {"pruned": record}
    kept = {stage.stage: np.asarray(stage.kept) for stage in stages if stage.removed}
    remainders = frozenset(filter(lambda index: _has_remainder(config.model.blocks[index]), kept))
    arrays = select_layers(arrays, kept, remainders)
    params = [leaf for path, leaf in arrays.items() if path.startswith("params/")]
    about["num_parameters"] = int(sum(np.size(leaf) for leaf in params))
    extras = source.checkpoint.extras
    # Nobody has evaluated the network that is left, so none of its scores is the best.
    progress = Progress() if "progress" not in extras else Progress(**extras["progress"])
    unseen = dataclasses.replace(progress, best_score=None, best_step=None)
    extras = extras | {"progress": dataclasses.asdict(unseen)}
    with full_disk_named(directory), RunDirectory.create(directory) as place:
        place.write_json(RUN, about)
        checkpointer = Checkpointer(place.file("checkpoints"))
        try:
            if starts is not None:
                checkpointer.save(
                    "start", 0, select_layers(starts.state, kept, remainders), starts.extras
                )
            checkpointer.save("last", source.checkpoint.step, arrays, extras)
        finally:
            checkpointer.close()
        status = {"state": "pruned", "reason": f"it was pruned from {source.directory}"}
        place.write_json(STATUS, status)
        place.write_text(CONFIG, to_yaml(config))
    return record | {"directory": str(directory), "num_parameters": about["num_parameters"]}


def select_layers(
    arrays: Mapping[str, np.ndarray],
    kept: Mapping[int, np.ndarray],
    remainders: frozenset[int] = frozenset(),
) -> dict[str, np.ndarray]:
    """The arrays of a training state with some layers of some blocks only.

    Args:
        arrays: By path; moments of the optimiser end in the path of their parameter.
        kept: Indices of the layers that stay, by the number of the block.
        remainders: Blocks whose last step size is no parameter.
    """
    chosen = {}
    for path, leaf in arrays.items():
        found = re.search(r"(?:^|/)blocks/(\d+)/(weights/stacked|step_sizes)/", path)
        chosen[path] = leaf
        if found is not None and int(found[1]) in kept:
            layers, learned = kept[int(found[1])], found[2] == "step_sizes"
            if learned and int(found[1]) in remainders:
                layers = layers[:-1]  # the last survivor is the remainder now
            chosen[path] = np.asarray(leaf)[layers]
    return chosen


def _has_remainder(block: BlockConfig) -> bool:
    chosen = block.step_sizes if isinstance(block, DepthBlockConfig) else None
    return isinstance(chosen, LearnedStepSizesConfig) and chosen.parametrisation == "remainder"


def _look_at(
    index: int, block: BlockConfig, arrays: Mapping[str, np.ndarray], share: float
) -> PrunedStage:
    if not isinstance(block, DepthBlockConfig):
        return PrunedStage(index, "a feed-forward block has no step sizes")
    if not isinstance(block.step_sizes, LearnedStepSizesConfig):
        return PrunedStage(index, "its step sizes are fixed")
    if block.step_sizes.sharing == "shared":
        return PrunedStage(index, "one step size serves all of its layers")
    if not isinstance(block.weights, PerLayerWeightsConfig) or block.num_layers < block.num_steps:
        return PrunedStage(index, "several steps share the weights of a layer")
    step_sizes = block.step_sizes.build(block.num_steps)
    step_sizes.raw[...] = arrays[f"params/blocks/{index}/step_sizes/raw"]
    taus = np.asarray(step_sizes.taus())
    try:
        kept = surviving_layers(taus, share)
    except ConfigError as error:
        raise ConfigError(f"model.stages.{index}: {error}") from error
    if len(kept) == 1 and _has_remainder(block):
        raise ConfigError(
            f"model.stages.{index}: one layer would stay, and its step size, the remainder, "
            f"would not be learned; use a smaller share"
        )
    removed = np.setdiff1d(np.arange(len(taus)), kept)
    return PrunedStage(
        index, None, tuple(taus.tolist()), tuple(step_shares(taus).tolist()), tuple(kept.tolist()),
        tuple(removed.tolist()),
    )  # fmt: skip


def _refuse_without_effect(stages: list[PrunedStage], share: float) -> None:
    if all(stage.kept_whole for stage in stages):
        reasons = "; ".join(f"model.stages.{stage.stage}: {stage.kept_whole}" for stage in stages)
        raise ConfigError(
            f"layers are removed by their learned step sizes, and no stage has one for each of its "
            f"layers ({reasons}); train with step_sizes.kind=learned, sharing=per_layer and "
            f"weights.kind=per_layer, from this run by start.run if its step sizes are fixed"
        )
    if not any(stage.removed for stage in stages):
        smallest = min(min(stage.shares) for stage in stages if stage.shares)
        raise ConfigError(
            f"no layer has a share of its block's depth below {share:g} that could go; the "
            f"smallest share is {smallest:.4g}, and one layer of each block stays"
        )


def _pruned_config(config: ExperimentConfig, stages: list[PrunedStage]) -> ExperimentConfig:
    blocks = [
        _pruned_block(block, stage) if stage.removed else block
        for block, stage in zip(config.model.blocks, stages, strict=True)
    ]
    model = config.model.expanded()  # a network by its depth has other layers now
    inherited = [
        block for block, stage in zip(blocks, model.stages, strict=True) if stage.block is None
    ]
    common = inherited[0] if inherited and all(one == inherited[0] for one in inherited) else None
    new = [
        stage
        if stage.block is None and common is not None
        else stage.model_copy(update={"block": block})
        for stage, block in zip(model.stages, blocks, strict=True)
    ]
    changes: dict[str, Any] = {"stages": tuple(new)} | ({"block": common} if common else {})
    pruned = config.model_copy(update={"model": model.model_copy(update=changes)})
    return parse_config(to_values(pruned), where=f"experiment {config.name}, pruned")


def _pruned_block(block: BlockConfig, stage: PrunedStage) -> BlockConfig:
    assert isinstance(block, DepthBlockConfig)
    assert isinstance(block.step_sizes, LearnedStepSizesConfig)
    num_steps = len(stage.kept)
    # The penalty still pulls the sum of the step sizes to where it did; a sum that is kept is what
    # is left.
    horizon = block.step_sizes.horizon or float(block.num_steps)
    if block.step_sizes.keeps_sum:
        horizon = float(sum(stage.taus[layer] for layer in stage.kept))
    changes = {
        "num_steps": num_steps,
        "step_sizes": block.step_sizes.model_copy(update={"horizon": horizon}),
        "weights": PerLayerWeightsConfig(),
    }
    if num_steps == 1 and block.field.last_init in ("1/L", "1/sqrt(L)"):
        changes["field"] = block.field.model_copy(update={"last_init": "as_drawn"})  # L is 1
    return block.model_copy(update=changes)


def _start_checkpoint(source: Source) -> Checkpoint | None:
    """What the run began with, if that came from another run in its turn."""
    if source.config.start is None:
        return None
    checkpointer = Checkpointer(source.directory / "checkpoints")
    try:
        return checkpointer.read("start")
    finally:
        checkpointer.close()
