"""Refinement: a trained network on another depth grid, in a new run directory."""

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from odenet.depth.basis import BasisName
from odenet.depth.refine import Prolongation, Transfer
from odenet.errors import ConfigError
from odenet.experiment.config import ExperimentConfig, parse_config, to_values
from odenet.experiment.refinement.derived import Arrays, with_blocks, write_derived
from odenet.experiment.refinement.refined_stage import RefinedStage, Refinement, refined_stage
from odenet.experiment.source import read_source
from odenet.models.base import BlockConfig
from odenet.training.checkpoint import Which


def refine(
    run: Path | str,
    factor: Fraction | None,
    directory: Path | str,
    prolongation: Prolongation = "constant",
    which: Which = "last",
    num_steps: int | None = None,
    to: int | None = None,
    basis: BasisName | None = None,
    num_basis: int | None = None,
) -> dict[str, Any]:
    """Transfer a trained network to another number of layers, or to other functions of depth.

    Weights, step sizes, batch statistics and the moments of the optimiser are transferred. The
    horizon stays. With prolongation `constant`, the network with divided layers is the old one with
    shorter steps; merging these layers again gives the old network.

    Args:
        run: A run directory.
        factor: Number of layers and steps, as a multiple of the old: 2 halves every step, 1/2
            merges pairs of steps; None leaves the number unchanged.
        directory: The new run directory; it must not exist.
        prolongation: `constant` averages the old layers that overlap a new one in depth; `linear`
            interpolates between two old layers, only for more layers.
        which: The last checkpoint or the best.
        num_steps: `training.num_steps` of the new run, including the steps already taken, so that
            a resumed run trains further; None for the value of the old run.
        to: Number of steps of every block, instead of a factor.
        basis: Basis functions of depth onto which the weights are projected (least squares); None
            for the present basis.
        num_basis: Number of basis functions.

    Returns:
        The record in `run.json`.

    Raises:
        ConfigError: if the refinement does not fit a stage, or would change nothing.
        OdenetError: see its other subclasses.
    """
    source, directory = read_source(Path(run), which), Path(directory)
    asked = _asked(factor, to, prolongation, basis, num_basis)
    stages = refined_stages(source.config, asked, source.checkpoint.state)
    config = with_blocks(source.config, [stage.block for stage in stages], "refined")
    if num_steps is not None:
        config = _trained_on(config, num_steps, source.checkpoint.step)
    details = {
        "checkpoint": which,
        "factor": None if factor is None else str(factor),
        "prolongation": prolongation,
        "stages": stage_sizes(source.config.model.blocks, config.model.blocks),
    }
    return write_derived(
        source, directory, config, lambda arrays: transferred(arrays, stages), "refined", details
    )


def _asked(
    factor: Fraction | None,
    to: int | None,
    prolongation: Prolongation,
    basis: BasisName | None,
    num_basis: int | None,
) -> Refinement:
    if factor is not None and to is not None:
        raise ConfigError(
            f"the new grid follows from either a factor or a number of steps; got {factor}, {to}"
        )
    if factor is not None and (factor <= 0 or factor == 1):
        raise ConfigError(
            f"a factor above 1 gives more layers, one between 0 and 1 fewer; got {factor}"
        )
    if to is not None and to < 1:
        raise ConfigError(f"a block has at least one step; got {to}")
    if basis is not None and num_basis is None:
        raise ConfigError(f"basis={basis} needs num_basis, the number of basis functions")
    if num_basis is not None and num_basis < 1 + (basis == "piecewise_linear"):
        raise ConfigError(f"num_basis must be at least 1, for piecewise_linear 2; got {num_basis}")
    if factor is None and to is None and num_basis is None:
        raise ConfigError("nothing would change; give a factor, a number of steps, or num_basis")
    return Refinement(factor or Fraction(1), to, prolongation, basis, num_basis)


def refined_stages(
    config: ExperimentConfig,
    asked: Refinement,
    arrays: Arrays | None = None,
    *,
    may_stay: bool = False,
) -> list[RefinedStage]:
    """The refinement of every stage of a network.

    Args:
        config: The experiment of the network.
        asked: The requested refinement.
        arrays: Its training state by path; None if only the blocks are needed.
        may_stay: Whether an unchanged network is accepted.

    Raises:
        ConfigError: if a stage does not fit (the message names it), or if no stage would change.
    """
    stages = []
    for index, block in enumerate(config.model.blocks):
        try:
            stages.append(refined_stage(block, asked, step_size_params(arrays or {}, index)))
        except ConfigError as error:
            raise ConfigError(f"model.stages.{index}: {error}") from error
    if not may_stay and [stage.block for stage in stages] == config.model.blocks:
        raise ConfigError(
            "no stage would change: all have these numbers of steps and basis functions already"
        )
    return stages


def _trained_on(config: ExperimentConfig, num_steps: int, done: int) -> ExperimentConfig:
    if num_steps <= done:
        raise ConfigError(
            f"{done} steps are already taken, so training.num_steps must be larger; got {num_steps}"
        )
    training = to_values(config)["training"] | {"num_steps": num_steps}
    return parse_config(
        to_values(config) | {"training": training}, where=f"experiment {config.name}, refined"
    )


def stage_sizes(old: Sequence[BlockConfig], new: Sequence[BlockConfig]) -> list[dict[str, Any]]:
    """Numbers of layers and steps of every stage, before and after."""
    return [_sizes(*pair) for pair in zip(old, new, strict=True)]


def _sizes(old: BlockConfig, new: BlockConfig) -> dict[str, Any]:
    before, after = old.residual, new.residual
    if before is None or after is None:
        return {}
    sizes = {
        "num_layers": [before.num_layers, after.num_layers],
        "num_steps": [before.num_steps, after.num_steps],
    }
    if not (before.weights.counts_functions or after.weights.counts_functions):
        return sizes
    functions = [block.weights.num_functions(block.num_steps) for block in (before, after)]
    return sizes | {"num_basis": functions}


def step_size_params(arrays: Arrays, index: int) -> dict[str, np.ndarray]:
    """The parameters of the step sizes of a block, by attribute name.

    Args:
        arrays: A training state by path.
        index: Index of the block.
    """
    prefix = f"params/blocks/{index}/step_sizes/"
    return {
        path.removeprefix(prefix): leaf for path, leaf in arrays.items() if path.startswith(prefix)
    }


def transferred(arrays: Arrays, stages: Sequence[RefinedStage]) -> dict[str, np.ndarray]:
    """The arrays of a training state on the new depth grids.

    Args:
        arrays: Arrays by path; paths of optimiser moments end in the path of their parameter.
        stages: The refinement of every stage.
    """
    moved = {}
    for path, leaf in arrays.items():
        found = re.search(r"(?:^|/)blocks/(\d+)/(weights/stacked|step_sizes)/(.+)$", path)
        if found is not None:
            stage, is_weight = stages[int(found[1])], found[2] == "weights/stacked"
            leaf = _weight(path, leaf, stage) if is_weight else _size(path, leaf, stage, found[3])
        moved[path] = leaf
    return moved


def _weight(path: str, leaf: np.ndarray, stage: RefinedStage) -> np.ndarray:
    transfer = stage.statistics if path.startswith("statistics/") else stage.weights
    if transfer is None:
        return leaf
    if not path.startswith("opt_state/"):
        return transfer.values(leaf)
    return _moment(path, leaf, transfer)


def _size(path: str, leaf: np.ndarray, stage: RefinedStage, name: str) -> np.ndarray:
    if name not in stage.step_sizes:
        return leaf
    if not path.startswith("opt_state/"):
        return np.asarray(stage.step_sizes[name], np.asarray(leaf).dtype)
    return _moment(path, leaf, stage.step_moves[name])


def _moment(path: str, leaf: np.ndarray, transfer: Transfer) -> np.ndarray:
    """Transfer a moment: a mean of gradients, or of their squares (`nu`)."""
    leaf = np.asarray(leaf)
    move = transfer.squares if "/nu/" in path else transfer.gradients
    return move(np.atleast_1d(leaf)).reshape((-1, *leaf.shape[1:]) if leaf.ndim else ())
