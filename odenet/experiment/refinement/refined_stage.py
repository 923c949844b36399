"""One stage of a network on another depth axis: its block, and how its arrays follow."""

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from odenet.depth.basis import (
    Basis,
    BasisName,
    fitted_matrix,
    mean_matrix,
    projection_matrix,
)
from odenet.depth.expansion import BasisWeightsConfig
from odenet.depth.refine import Prolongation, Transfer
from odenet.depth.step_sizes import MovedStepSizes
from odenet.depth.step_sizes.base import StepSizeParams
from odenet.depth.weights_config import WeightsConfig
from odenet.errors import ConfigError
from odenet.models import DepthBlockConfig
from odenet.models.base import BlockConfig


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
        step_sizes: New parameters of its step sizes, by name; none where they stay.
        step_moves: How moments of those parameters move.
    """

    block: BlockConfig
    weights: Transfer | None = None
    statistics: Transfer | None = None
    step_sizes: StepSizeParams = dataclasses.field(default_factory=dict)
    step_moves: Mapping[str, Transfer] = dataclasses.field(default_factory=dict)


def refined_stage(
    block: BlockConfig, asked: Refinement, params: StepSizeParams | None = None
) -> RefinedStage:
    """A block on another grid, or with other functions of depth as its weights.

    A layer between two widths (`projection.kind: unit`) stands before the block, and stays.

    Args:
        block: The block.
        asked: What to do.
        params: Parameters of its step sizes; none for those at the start.

    Raises:
        ConfigError: if its layers are no steps of a method, or what is asked does not fit them.
    """
    params = params or {}
    depth = block.ode
    if depth is None:
        raise ConfigError(
            "its layers are no steps h + tau f(t, h) of a method, so they cannot be divided or "
            "joined"
        )
    if not depth.field.layers_are_alike:
        raise ConfigError(
            f"its layers add features of their own (field.kind={depth.field.kind}), so they cannot "
            f"be divided, joined, or made of fewer functions"
        )
    steps = _new_num_steps(depth.num_steps, asked)
    sizes = _step_sizes(depth, steps, params)
    weights, sets, statistics = _weights(depth, steps, asked, params)
    changes: dict[str, Any] = {"num_steps": steps, "step_sizes": sizes.config, "weights": weights}
    if steps == 1:
        changes["field"] = depth.field.of_one_layer()
    changed = depth.model_copy(update=changes)
    return RefinedStage(changed, sets, statistics, sizes.params, sizes.moves)


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
    block: DepthBlockConfig, steps: int, asked: Refinement, params: StepSizeParams
) -> tuple[WeightsConfig, Transfer | None, Transfer | None]:
    """The config of the weights, and how their sets and those of their statistics move."""
    if asked.changes_basis:
        return _other_basis(block, steps, asked, params)
    moved = block.weights.refined(block.num_steps, steps, asked.prolongation)
    return moved.config, moved.move, moved.move


def _other_basis(
    block: DepthBlockConfig, steps: int, asked: Refinement, params: StepSizeParams
) -> tuple[WeightsConfig, Transfer, Transfer]:
    """The nearest weights that are combinations of other functions of depth."""
    weights = block.weights
    old = weights.depth_functions(block.num_steps)
    if old is None:
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
    moves = _between(old, new, block, params)
    own = weights.in_basis(new, steps)
    return own or BasisWeightsConfig(basis=new.kind, num_basis=new.size), *moves


def _between(
    old: Basis, new: Basis, block: DepthBlockConfig, params: StepSizeParams
) -> tuple[Transfer, Transfer]:
    """How sets of weights and of statistics move from one family of functions to another.

    Layers of explicit Euler see their weights where they start: there smooth functions are fitted
    to them, and statistics follow as in training. All else is the nearest in the mean square.
    """
    cells, smooth = old.kind == "piecewise_constant", new.kind != "piecewise_constant"
    if cells and smooth and block.integrator.build().evaluates_at_start:
        starts = _starts(block, params)
        hats = _basis_of_statistics(new)(starts, np)
        fractions = hats / hats.sum(axis=1, keepdims=True)
        return Transfer(fitted_matrix(new, starts), new(starts, np).T), Transfer(fractions)
    stored = [_basis_of_statistics(basis) for basis in (old, new)]
    there, back = projection_matrix(old, new), projection_matrix(new, old)
    return Transfer(there, back), Transfer(mean_matrix(*stored))


def _starts(block: DepthBlockConfig, params: StepSizeParams) -> np.ndarray:
    """Where the layers start, as parts of the depth."""
    if not block.step_sizes.stays_positive:  # refused where the new block is read
        return np.arange(block.num_layers) / block.num_layers
    sizes = block.step_sizes.with_params(block.num_steps, params)
    ends = np.cumsum(np.asarray(sizes.taus(), np.float64))
    times = np.append(0.0, ends[:-1]) / ends[-1]
    return times[:: block.num_steps // block.num_layers]


def _basis_of_statistics(basis: Basis) -> Basis:
    if basis.kind == "piecewise_constant":
        return basis
    return Basis("piecewise_linear", basis.size)


def _step_sizes(block: DepthBlockConfig, num_steps: int, params: StepSizeParams) -> MovedStepSizes:
    """The step sizes on the new grid."""
    sizes = block.step_sizes
    if num_steps == block.num_steps:
        return MovedStepSizes(sizes)
    if num_steps < sizes.least_steps:
        raise ConfigError(
            f"one step would stay, and its size, the {sizes.rule}, would not be learned; use a "
            f"larger factor"
        )
    return sizes.moved(block.num_steps, num_steps, params)
