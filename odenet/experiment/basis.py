"""How few functions of depth a trained network needs: its weights projected onto less and less."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from odenet.depth.basis import BasisName
from odenet.errors import ConfigError
from odenet.experiment.build import Experiment, build
from odenet.experiment.config import Overrides
from odenet.experiment.directory import RunDirectory, full_disk_named
from odenet.experiment.evaluate import load_trained
from odenet.experiment.refinement.derived import with_blocks
from odenet.experiment.refinement.refine import refined_stages, transferred
from odenet.experiment.refinement.refined_stage import Refinement
from odenet.models.base import BlockConfig
from odenet.training.checkpoint import Checkpoint, Which, fitted, named

BASIS = "basis.json"
DEFAULT_BASES: tuple[BasisName, ...] = ("piecewise_constant", "piecewise_linear", "legendre")


def analyse_basis(
    directory: Path | str,
    overrides: Overrides = (),
    split: str = "test",
    which: Which = "last",
    bases: Sequence[BasisName] = (),
    sizes: Sequence[int] = (),
    data_dir: Path | None = None,
) -> dict[str, Any]:
    """Evaluate a trained network with its weights projected onto fewer functions of depth.

    Nothing is trained again, and the number of steps stays (Queiruga et al. 2021,
    arXiv:2106.10820). The result is also written into the run directory, as `basis.json`.

    Args:
        directory: A run directory.
        overrides: As in `load_config`, for the integrator or the data; parameters must still fit.
        split: `train`, `validation` or `test`.
        which: The last checkpoint or the best.
        bases: Families of functions; none for cells, hats and Legendre polynomials.
        sizes: How many functions are kept; none for all that halve, or that are three quarters.
        data_dir: Folder of the published data sets, or None for the usual places.

    Returns:
        What the network gives as it is, and for every family and number of functions what it gives
        then, with the number of parameters that are left.

    Raises:
        ConfigError: if its weights are no functions of depth, or a family or number does not fit.
        OdenetError: as its other children say.
    """
    directory = Path(directory)
    experiment, checkpoint = load_trained(directory, overrides, which, data_dir)
    most = min(_most_functions(block) for block in experiment.config.model.blocks)
    curves = []
    for basis in bases or DEFAULT_BASES:
        asked = sizes or [size for size in _halves(most) if _fits(experiment, basis, size)]
        points = [_projected(experiment, checkpoint, basis, size, split) for size in asked]
        curves.append({"basis": basis, "points": points})
    found = {
        "directory": str(directory),
        "split": split,
        "checkpoint": which,
        "step": checkpoint.step,
        "num_basis": most,
        "as_trained": _scores(experiment, checkpoint, split),
        "curves": curves,
    }
    with full_disk_named(directory):
        RunDirectory(directory).write_json(BASIS, found)
    return found


def _most_functions(block: BlockConfig) -> int:
    if block.residual is None:
        raise ConfigError(f"block.kind={block.kind} has no weights that are functions of depth")
    return block.residual.num_sets


def _halves(most: int) -> list[int]:
    """Numbers from all down to one: halves, and three quarters of what can be halved twice."""
    halved = [most >> shift for shift in range(most.bit_length()) if most % (1 << shift) == 0]
    between = [3 * size // 4 for size in halved if size % 4 == 0]
    return sorted({*halved, *between, 1}, reverse=True)


def _fits(experiment: Experiment, basis: BasisName, size: int) -> bool:
    """Whether a family can be asked for so many functions."""
    if basis != "piecewise_constant":
        return size > 1 or basis != "piecewise_linear"
    blocks = experiment.config.model.blocks
    return all(
        block.residual.num_steps % size == 0 for block in blocks if block.residual is not None
    )


def _projected(
    experiment: Experiment, checkpoint: Checkpoint, basis: BasisName, size: int, split: str
) -> dict[str, Any]:
    """The scores of the network with its weights made of so many functions."""
    arrays = named(checkpoint.state)
    stages = refined_stages(
        experiment.config, Refinement(basis=basis, num_basis=size), arrays, may_stay=True
    )
    config = with_blocks(experiment.config, [stage.block for stage in stages], f"of {size} {basis}")
    config = config.model_copy(update={"start": None})
    made = build(config, dataset=experiment.dataset)
    found = dataclasses.replace(checkpoint, state=transferred(arrays, stages))
    return {"num_basis": size} | _scores(
        made, fitted(found, made.start, "the projected network"), split
    )


def _scores(experiment: Experiment, checkpoint: Checkpoint, split: str) -> dict[str, Any]:
    state = checkpoint.state
    evaluator = experiment.evaluator(experiment.split(split))
    metrics = evaluator(state.params, state.statistics).metrics
    scores = {name: metrics[name] for name in ("accuracy", "loss") if name in metrics}
    return scores | {"num_parameters": experiment.num_parameters}
