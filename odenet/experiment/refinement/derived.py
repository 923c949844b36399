"""Run directories derived from another run: the same training with a network of changed depth."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from odenet.experiment.config import ExperimentConfig, parse_config, to_values, to_yaml
from odenet.experiment.directory import (
    CONFIG,
    RUN,
    STATUS,
    RunDirectory,
    full_disk_named,
    read_json,
)
from odenet.experiment.held_network import extras_of
from odenet.experiment.provenance import provenance
from odenet.experiment.source import Source
from odenet.models.base import BlockConfig
from odenet.training.checkpoint import Checkpoint, Checkpointer
from odenet.training.loop import Progress

Arrays = Mapping[str, np.ndarray]
"""Arrays of a training state by path; paths of optimiser moments end in a parameter's path."""


def with_blocks(
    config: ExperimentConfig, blocks: Sequence[BlockConfig], how: str
) -> ExperimentConfig:
    """The experiment with the given blocks, one for each stage of its expanded network.

    Args:
        config: The experiment.
        blocks: The block of every stage.
        how: Name of the change, a participle, for messages.
    """
    model = config.model.expanded()  # a model given by its depth alone would have other layers
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
    changed = config.model_copy(update={"model": model.model_copy(update=changes)})
    return parse_config(to_values(changed), where=f"experiment {config.name}, {how}")


def write_derived(
    source: Source,
    directory: Path,
    config: ExperimentConfig,
    change: Callable[[Arrays], dict[str, np.ndarray]],
    how: str,
    details: dict[str, Any],
) -> dict[str, Any]:
    """Write the derived run directory, from which training can continue with optimiser moments.

    Args:
        source: The source run.
        directory: The new run directory; it must not exist.
        config: The experiment of the derived run.
        change: Maps the arrays of a training state of the source to those of the derived run.
        how: Name of the change, a participle; the key of its record in `run.json`.
        details: Further entries of the record, beside the run, its checkpoint and its step.

    Returns:
        The record, with the directory and the number of trainable parameters.
    """
    starts = _start_checkpoint(source)
    arrays = change(source.checkpoint.state)
    record = {
        "run": str(source.directory.absolute()),
        "step": source.checkpoint.step,
        "sha256": source.checkpoint.sha256,
    } | details
    about: dict[str, Any] = read_json(source.directory / RUN)
    about |= provenance(Path(about["data_dir"]), jax.devices()) | {how: record}
    params = [leaf for path, leaf in arrays.items() if path.startswith("params/")]
    about["num_parameters"] = int(sum(np.size(leaf) for leaf in params))
    extras = source.checkpoint.extras
    # The scores so far are those of the old network.
    progress = Progress() if "progress" not in extras else Progress(**extras["progress"])
    unseen = dataclasses.replace(progress, best_score=None, best_step=None)
    extras = extras | {"progress": dataclasses.asdict(unseen)}
    if config.training.depth_schedule is not None:  # record the change as one at this step
        extras |= extras_of(config, source.checkpoint.step)
    with full_disk_named(directory), RunDirectory.create(directory) as run_directory:
        run_directory.write_json(RUN, about)
        checkpointer = Checkpointer(run_directory.file("checkpoints"))
        try:
            if starts is not None:
                checkpointer.save("start", 0, change(starts.state), starts.extras)
            checkpointer.save("last", source.checkpoint.step, arrays, extras)
        finally:
            checkpointer.close()
        status = {"state": how, "reason": f"it was {how} from {source.directory}"}
        run_directory.write_json(STATUS, status)
        run_directory.write_text(CONFIG, to_yaml(config))
    return record | {"directory": str(directory), "num_parameters": about["num_parameters"]}


def _start_checkpoint(source: Source) -> Checkpoint | None:
    """The start checkpoint of the source run, if that run itself has `start`; else None."""
    if source.config.start is None:
        return None
    checkpointer = Checkpointer(source.directory / "checkpoints")
    try:
        return checkpointer.read("start")
    finally:
        checkpointer.close()
