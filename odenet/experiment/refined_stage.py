"""One stage of a network on another depth axis: its block, and how its arrays follow."""

import dataclasses
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from odenet.depth import BasisWeightsConfig, PerLayerWeightsConfig, WeightsConfig
from odenet.depth.basis import (
    Basis,
    BasisName,
    fitted_matrix,
    mean_matrix,
    projection_matrix,
)
from odenet.depth.refine import (
    Transfer,
    interpolated,
    overlapping,
    refined_taus,
    step_size_transfer,
)
from odenet.depth.step_sizes import (
    FixedStepSizesConfig,
    LearnedStepSizes,
    LearnedStepSizesConfig,
    StepSizesConfig,
)
from odenet.errors import ConfigError
from odenet.fields import DenseFieldConfig
from odenet.models import DepthBlockConfig
from odenet.models.base import BlockConfig

Prolongation = Literal["constant", "linear"]


@dataclasses.dataclass(frozen=True)
class Refinement:
    """What is asked of every stage.

    Attributes:
        factor: Number of layers and steps, as a multiple of the old.
        num_steps: Number of steps, in the place of a factor.
        prolongation: Whether new layers are made of the old ones that they share depth with, or lie
            on the line between two.
        basis: Functions of the depth that weights become combinations of; None for those they are.
        num_basis: Number of these functions, or None where it follows from the steps.
    """

    factor: Fraction = Fraction(1)
    num_steps: int | None = None
    prolongation: Prolongation = "constant"
    basis: BasisName | None = None
    num_basis: int | None = None

    @property
    def changes_basis(self) -> bool:
        """Whether the functions are named, so that they do not follow from the steps."""
        return self.num_basis is not None


@dataclasses.dataclass(frozen=True)
class RefinedStage:
    """What is done to one stage.

    Attributes:
        block: Its new block.
        weights: How its sets of weights move, or None where they serve the new steps as they are.
        statistics: How its sets of batch statistics move, or None.
        raw: New parameters of its step sizes, or None where they stay.
        steps: How moments of those parameters move, or None.
    """

    block: BlockConfig
    weights: Transfer | None = None
    statistics: Transfer | None = None
    raw: np.ndarray | None = None
    steps: Transfer | None = None


def refined_stage(
    block: BlockConfig, asked: Refinement, raw: np.ndarray | None = None
) -> RefinedStage:
    """A block on another grid, or with other functions of depth as its weights.

    A layer between two widths (`projection.kind: unit`) stands before the block, and stays.

    Args:
        block: The block.
        asked: What to do.
        raw: Parameters of its step sizes, or None where they are fixed.

    Raises:
        ConfigError: if its layers are no steps of a method, or what is asked does not fit them.
    """
    if not isinstance(block, DepthBlockConfig) or block.ode is None:
        raise ConfigError(
            "its layers are no steps h + tau f(t, h) of a method, so they cannot be divided or "
            "joined"
        )
    if isinstance(block.field, DenseFieldConfig):
        raise ConfigError(
            "its layers add features of their own (field.kind=dense), so they cannot be divided, "
            "joined, or made of fewer functions"
        )
    steps = _new_num_steps(block.num_steps, asked)
    sizes, new_raw, transfer = _step_sizes(block, steps, raw)
    weights, sets, statistics = _weights(block, steps, asked, raw)
    changes: dict[str, Any] = {"num_steps": steps, "step_sizes": sizes, "weights": weights}
    if steps == 1:
        changes["field"] = block.field.of_one_layer()
    return RefinedStage(block.model_copy(update=changes), sets, statistics, new_raw, transfer)


def _new_num_steps(old: int, asked: Refinement) -> int:
    if asked.num_steps is not None:
        return asked.num_steps
    num_steps = old * asked.factor
    if num_steps.denominator != 1:
        raise ConfigError(
            f"{asked.factor} times {old} steps is not a whole number of steps; use a factor whose "
            f"denominator divides {old}"
        )
    return int(num_steps)


def _weights(
    block: DepthBlockConfig, steps: int, asked: Refinement, raw: np.ndarray | None
) -> tuple[WeightsConfig, Transfer | None, Transfer | None]:
    """The config of the weights, and how their sets and those of their statistics move."""
    if asked.changes_basis:
        return _other_basis(block, steps, asked, raw)
    weights, old = block.weights, block.num_layers
    in_cells = isinstance(weights, PerLayerWeightsConfig) or (
        isinstance(weights, BasisWeightsConfig) and not weights.is_smooth
    )
    if not in_cells:
        if asked.prolongation == "linear":
            raise ConfigError(
                f"prolongation=linear would be ignored: weights.kind={weights.kind} serve any "
                f"number of steps"
            )
        if isinstance(weights, BasisWeightsConfig) and weights.num_basis > steps:
            raise ConfigError(
                f"{steps} steps see weights at {steps} depths, fewer than the {weights.num_basis} "
                f"functions that they are made of; change weights.num_basis too"
            )
        return weights, None, None
    new = Fraction(old * steps, block.num_steps)
    if new.denominator != 1:
        raise ConfigError(
            f"{old} sets of weights, which serve {block.num_steps} steps, cannot become {new} for "
            f"{steps}; use another number of steps"
        )
    if asked.prolongation == "linear" and new < old:
        raise ConfigError(
            f"prolongation=linear would be ignored: {old} layers become {new} by their mean"
        )
    moves = Transfer(overlapping(old, int(new)), overlapping(int(new), old))
    if asked.prolongation == "linear":
        moves = Transfer(interpolated(old, int(new)))
    if isinstance(weights, BasisWeightsConfig):
        weights = weights.model_copy(update={"num_basis": int(new)})
    elif isinstance(weights, PerLayerWeightsConfig) and weights.num_layers is not None:
        weights = weights.model_copy(update={"num_layers": int(new)})
    return weights, moves, moves


def _other_basis(
    block: DepthBlockConfig, steps: int, asked: Refinement, raw: np.ndarray | None
) -> tuple[WeightsConfig, Transfer, Transfer]:
    """The nearest weights that are combinations of other functions of depth.

    A penalty on the smoothness of layers does not go with them to functions that are no layers.
    """
    weights = block.weights
    if isinstance(weights, PerLayerWeightsConfig):
        old = Basis("piecewise_constant", block.num_layers)
    elif isinstance(weights, BasisWeightsConfig):
        old = Basis(weights.basis, weights.num_basis)
    else:
        raise ConfigError(
            f"weights.kind={weights.kind} are the same at every depth, so other functions of it "
            f"would be ignored; num_basis changes those of kind=per_layer and basis"
        )
    assert asked.num_basis is not None
    if asked.prolongation == "linear":
        raise ConfigError(
            "prolongation=linear would be ignored: weights become the nearest ones in the new basis"
        )
    new = Basis(asked.basis or old.kind, asked.num_basis)
    if new.size > steps:
        raise ConfigError(
            f"{steps} steps see weights at {steps} depths, so num_basis is at most {steps}; got "
            f"{new.size}"
        )
    if new.kind == "piecewise_constant" and steps % new.size:
        raise ConfigError(
            f"num_basis of piecewise_constant functions is a divisor of the {steps} steps; got "
            f"{new.size}"
        )
    moves = _between(old, new, block, raw)
    if isinstance(weights, PerLayerWeightsConfig) and new.kind == "piecewise_constant":
        number = None if new.size == steps else new.size
        return weights.model_copy(update={"num_layers": number}), *moves
    return BasisWeightsConfig(basis=new.kind, num_basis=new.size), *moves


def _between(
    old: Basis, new: Basis, block: DepthBlockConfig, raw: np.ndarray | None
) -> tuple[Transfer, Transfer]:
    """How sets of weights and of statistics move from one family of functions to another.

    Layers of explicit Euler see their weights where they start: there smooth functions are fitted
    to them, and statistics follow as in training. All else is the nearest in the mean square.
    """
    cells, smooth = old.kind == "piecewise_constant", new.kind != "piecewise_constant"
    if cells and smooth and block.integrator.kind == "euler":
        starts = _starts(block, raw)
        hats = _basis_of_statistics(new)(starts, np)
        shares = hats / hats.sum(axis=1, keepdims=True)
        return Transfer(fitted_matrix(new, starts), new(starts, np).T), Transfer(shares)
    stored = [_basis_of_statistics(basis) for basis in (old, new)]
    there, back = projection_matrix(old, new), projection_matrix(new, old)
    return Transfer(there, back), Transfer(mean_matrix(*stored))


def _starts(block: DepthBlockConfig, raw: np.ndarray | None) -> np.ndarray:
    """Where the layers start, as parts of the depth."""
    sizes = block.step_sizes.build(block.num_steps)
    if isinstance(sizes, LearnedStepSizes) and raw is not None:
        sizes.raw[...] = raw
    if not block.step_sizes.stays_positive:  # refused where the new block is read
        return np.arange(block.num_layers) / block.num_layers
    ends = np.cumsum(np.asarray(sizes.taus(), np.float64))
    times = np.append(0.0, ends[:-1]) / ends[-1]
    return times[:: block.num_steps // block.num_layers]


def _basis_of_statistics(basis: Basis) -> Basis:
    if basis.kind == "piecewise_constant":
        return basis
    return Basis("piecewise_linear", basis.size)


def _step_sizes(
    block: DepthBlockConfig, num_steps: int, raw: np.ndarray | None
) -> tuple[StepSizesConfig, np.ndarray | None, Transfer | None]:
    """The config of the step sizes, their new parameters, and how moments of these move."""
    sizes = block.step_sizes
    if num_steps == block.num_steps:
        return sizes, None, None
    if isinstance(sizes, LearnedStepSizesConfig):
        built = sizes.build(block.num_steps)
        if raw is not None:
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
