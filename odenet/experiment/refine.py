"""A trained network in more layers or fewer, as a run of its own that training can go on from."""

import dataclasses
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from odenet.depth import BasisWeightsConfig, PerLayerWeightsConfig
from odenet.depth.refine import (
    Transfer,
    averaged,
    copied,
    interpolated,
    refined_taus,
    step_size_transfer,
)
from odenet.depth.step_sizes import FixedStepSizesConfig, LearnedStepSizesConfig, StepSizesConfig
from odenet.errors import ConfigError
from odenet.experiment.config import ExperimentConfig, parse_config, to_values
from odenet.experiment.derived import Arrays, with_blocks, write_derived
from odenet.experiment.source import read_source
from odenet.models import DepthBlockConfig
from odenet.models.blocks import BlockConfig
from odenet.training.checkpoint import Which

Prolongation = Literal["constant", "linear"]


@dataclasses.dataclass(frozen=True)
class RefinedStage:
    """What is done to one stage.

    Attributes:
        block: Its new block.
        weights: How its sets of weights move, or None where they serve the new steps as they are.
        raw: New parameters of its step sizes, or None where they stay.
        steps: How moments of those parameters move, or None.
    """

    block: BlockConfig
    weights: Transfer | None
    raw: np.ndarray | None = None
    steps: Transfer | None = None


def refine(
    run: Path | str,
    factor: Fraction,
    directory: Path | str,
    prolongation: Prolongation = "constant",
    which: Which = "last",
    num_steps: int | None = None,
) -> dict[str, Any]:
    """Divide every layer of a trained network into equal parts, or join neighbours.

    Weights, step sizes, batch statistics and the optimiser's moments move together. The horizon
    stays. With `constant`, the function of a refined network is that of the old one with shorter
    steps; joining what was divided so gives the old network back.

    Args:
        run: A run directory.
        factor: Number of layers and steps, as a multiple of the old: 2 halves every step, 1/2
            joins every two.
        directory: Where the new network is written; it must not exist.
        prolongation: Whether new layers copy the one that they are made of, or lie on the line to
            the next one; for a factor above 1 alone.
        which: The last checkpoint or the best.
        num_steps: `training.num_steps` of the new run, the steps that are done among them, so that
            resuming it trains on; None for that of the old run.

    Returns:
        What `run.json` records.

    Raises:
        ConfigError: if the factor does not fit a stage, or would change nothing.
        OdenetError: as its other children say.
    """
    source, directory = read_source(Path(run), which), Path(directory)
    _refuse_factor(factor, prolongation)
    state = source.checkpoint.state
    stages = []
    for index, block in enumerate(source.config.model.blocks):
        try:
            raw = state.get(f"params/blocks/{index}/step_sizes/raw")
            stages.append(_refined(block, factor, prolongation, raw))
        except ConfigError as error:
            raise ConfigError(f"model.stages.{index}: {error}") from error
    config = with_blocks(source.config, [stage.block for stage in stages], "refined")
    if num_steps is not None:
        config = _trained_on(config, num_steps, source.checkpoint.step)
    details = {
        "checkpoint": which,
        "factor": str(factor),
        "prolongation": prolongation,
        "stages": [
            _sizes(old, new.block)
            for old, new in zip(source.config.model.blocks, stages, strict=True)
        ],
    }
    return write_derived(
        source, directory, config, lambda arrays: transferred(arrays, stages), "refined", details
    )


def _trained_on(config: ExperimentConfig, num_steps: int, done: int) -> ExperimentConfig:
    if num_steps <= done:
        raise ConfigError(
            f"{done} steps are done, so training.num_steps of a run that trains on is larger; got "
            f"{num_steps}"
        )
    training = to_values(config)["training"] | {"num_steps": num_steps}
    return parse_config(
        to_values(config) | {"training": training}, where=f"experiment {config.name}, refined"
    )


def _sizes(old: BlockConfig, new: BlockConfig) -> dict[str, list[int]]:
    """Numbers of layers and steps before and after."""
    assert isinstance(old, DepthBlockConfig)
    assert isinstance(new, DepthBlockConfig)
    return {
        "num_layers": [old.num_layers, new.num_layers],
        "num_steps": [old.num_steps, new.num_steps],
    }


def _refuse_factor(factor: Fraction, prolongation: Prolongation) -> None:
    if factor <= 0 or factor == 1 or 1 not in (factor.numerator, factor.denominator):
        raise ConfigError(
            f"the factor is a whole number above 1, which divides layers, or one part of it, which "
            f"joins them; got {factor}"
        )
    if prolongation == "linear" and factor < 1:
        raise ConfigError(
            f"prolongation=linear would be ignored: layers are joined by their mean; got factor "
            f"{factor}"
        )


def transferred(arrays: Arrays, stages: list[RefinedStage]) -> dict[str, np.ndarray]:
    """The arrays of a training state on the new depth axes.

    Args:
        arrays: By path; moments of the optimiser end in the path of their parameter.
        stages: What is done to every stage.
    """
    moved = {}
    for path, leaf in arrays.items():
        found = re.search(r"(?:^|/)blocks/(\d+)/(weights/stacked|step_sizes)/", path)
        if found is not None:
            leaf = _moved(path, leaf, stages[int(found[1])], found[2])
        moved[path] = leaf
    return moved


def _moved(path: str, leaf: np.ndarray, stage: RefinedStage, part: str) -> np.ndarray:
    transfer = stage.weights if part == "weights/stacked" else stage.steps
    if transfer is None:
        return leaf
    if not path.startswith("opt_state/"):
        if part == "step_sizes":
            assert stage.raw is not None
            return np.asarray(stage.raw, np.asarray(leaf).dtype)
        return transfer.values(leaf)
    leaf = np.asarray(leaf)
    move = transfer.squares if "/nu/" in path else transfer.gradients
    return move(np.atleast_1d(leaf)).reshape((-1, *leaf.shape[1:]) if leaf.ndim else ())


def _refined(
    block: BlockConfig, factor: Fraction, prolongation: Prolongation, raw: np.ndarray | None
) -> RefinedStage:
    if not isinstance(block, DepthBlockConfig) or not block.is_euler_step:
        raise ConfigError(
            "its layers are no steps h + tau f(t, h) of a method, so they cannot be divided or "
            "joined"
        )
    num_steps = block.num_steps * factor
    if num_steps.denominator != 1:
        raise ConfigError(
            f"{block.num_steps} steps cannot be joined by {factor.denominator}; use a divisor"
        )
    steps = int(num_steps)
    sizes, new_raw, transfer = _refined_step_sizes(block, steps, raw)
    weights, sets = _refined_weights(block, factor, prolongation)
    changes: dict[str, Any] = {"num_steps": steps, "step_sizes": sizes, "weights": weights}
    if steps == 1:
        changes["field"] = block.field.of_one_layer()
    return RefinedStage(block.model_copy(update=changes), sets, new_raw, transfer)


def _refined_weights(
    block: DepthBlockConfig, factor: Fraction, prolongation: Prolongation
) -> tuple[Any, Transfer | None]:
    """The config of the weights, and how their sets move."""
    weights, old = block.weights, block.num_layers
    in_cells = isinstance(weights, PerLayerWeightsConfig) or (
        isinstance(weights, BasisWeightsConfig) and not weights.is_smooth
    )
    if not in_cells:
        if prolongation == "linear":
            raise ConfigError(
                f"prolongation=linear would be ignored: weights.kind={weights.kind} serve any "
                f"number of steps"
            )
        return weights, None
    new = old * factor
    if new.denominator != 1:
        raise ConfigError(f"{old} layers cannot be joined by {factor.denominator}; use a divisor")
    times = int(factor) if factor > 1 else factor.denominator
    makes = {"constant": copied, "linear": interpolated}[prolongation] if factor > 1 else averaged
    if isinstance(weights, BasisWeightsConfig):
        weights = weights.model_copy(update={"num_basis": int(new)})
    elif isinstance(weights, PerLayerWeightsConfig) and weights.num_layers is not None:
        weights = weights.model_copy(update={"num_layers": int(new)})
    return weights, Transfer(makes(old, times))


def _refined_step_sizes(
    block: DepthBlockConfig, num_steps: int, raw: np.ndarray | None
) -> tuple[StepSizesConfig, np.ndarray | None, Transfer | None]:
    """The config of the step sizes, their new parameters, and how moments of these move."""
    sizes = block.step_sizes
    if isinstance(sizes, LearnedStepSizesConfig):
        assert raw is not None
        built = sizes.build(block.num_steps)
        built.raw[...] = raw
        if num_steps == 1 and sizes.parametrisation == "remainder":
            raise ConfigError(
                "one step would stay, and its size, the remainder, would not be learned; use a "
                "larger factor"
            )
        horizon = sizes.horizon or float(block.num_steps)
        new_raw, transfer = step_size_transfer(built, num_steps)
        return sizes.model_copy(update={"horizon": horizon}), new_raw, transfer
    assert isinstance(sizes, FixedStepSizesConfig)
    if sizes.horizon is not None:
        return sizes, None, None
    if sizes.taus is not None:
        taus = tuple(refined_taus(np.asarray(sizes.taus), num_steps).tolist())
        return sizes.model_copy(update={"taus": taus}), None, None
    tau = (1.0 if sizes.tau is None else sizes.tau) * block.num_steps / num_steps
    return sizes.model_copy(update={"tau": tau}), None, None
