"""One stage of a network on another depth grid: its block, and the transfer of its arrays."""

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
    """The requested refinement of every stage.

    Attributes:
        factor: Number of layers and steps, as a multiple of the old.
        num_steps: Number of steps, instead of a factor.
        prolongation: `constant` averages the old layers that overlap a new one in depth; `linear`
            interpolates between two old layers.
        basis: Basis functions of depth for the weights; None for the present basis.
        num_basis: Number of basis functions, or None if it follows from the number of steps.
    """

    factor: Fraction = Fraction(1)
    num_steps: int | None = None
    prolongation: Prolongation = "constant"
    basis: BasisName | None = None
    num_basis: int | None = None

    @property
    def changes_basis(self) -> bool:
        """Whether the basis functions are given, instead of following from the steps."""
        return self.num_basis is not None


@dataclasses.dataclass(frozen=True)
class RefinedStage:
    """The refinement of one stage.

    Attributes:
        block: The new block.
        weights: Transfer of its sets of weights, or None if the new steps use them unchanged.
        statistics: Transfer of its sets of batch statistics, or None.
        step_sizes: New parameters of its step sizes by name; empty if they stay.
        step_moves: Transfers of the moments of these parameters, by name.
    """

    block: BlockConfig
    weights: Transfer | None = None
    statistics: Transfer | None = None
    step_sizes: StepSizeParams = dataclasses.field(default_factory=dict)
    step_moves: Mapping[str, Transfer] = dataclasses.field(default_factory=dict)


def refined_stage(
    block: BlockConfig, asked: Refinement, params: StepSizeParams | None = None
) -> RefinedStage:
    """A block on another depth grid, or with weights in another basis of functions of depth.

    A layer between two widths (`projection.kind: unit`) before the block stays unchanged.

    Args:
        block: The block.
        asked: The requested refinement.
        params: Parameters of its step sizes; None for the initial ones.

    Raises:
        ConfigError: if its layers are not steps of a method, or the refinement does not fit them.
    """
    params = params or {}
    depth = block.ode
    if depth is None:
        raise ConfigError(
            "its layers are no steps h + tau f(t, h) of a method, so they cannot be divided or "
            "merged"
        )
    if not depth.field.layers_are_alike:
        raise ConfigError(
            f"each of its layers adds other features (field.kind={depth.field.kind}), so they "
            f"cannot be divided, merged, or expressed in fewer basis functions"
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
    """The config of the weights, and the transfers of weights and of batch statistics."""
    if asked.changes_basis:
        return _other_basis(block, steps, asked, params)
    moved = block.weights.refined(block.num_steps, steps, asked.prolongation)
    return moved.config, moved.move, moved.move


def _other_basis(
    block: DepthBlockConfig, steps: int, asked: Refinement, params: StepSizeParams
) -> tuple[WeightsConfig, Transfer, Transfer]:
    """The least-squares projection of the weights onto another basis of functions of depth."""
    weights = block.weights
    old = weights.depth_functions(block.num_steps)
    if old is None:
        raise ConfigError(
            f"weights.kind={weights.kind} are the same at every depth, so basis functions of depth "
            f"would be ignored; num_basis changes weights of kind=per_layer and basis"
        )
    assert asked.num_basis is not None
    if asked.prolongation == "linear":
        raise ConfigError(
            "prolongation=linear would be ignored: weights are projected onto the new basis"
        )
    new = Basis(asked.basis or old.kind, asked.num_basis)
    if new.size > steps:
        raise ConfigError(
            f"{steps} steps use weights at {steps} depths, so num_basis is at most {steps}; got "
            f"{new.size}"
        )
    if new.kind == "piecewise_constant" and steps % new.size:
        raise ConfigError(
            f"num_basis of piecewise_constant functions must divide the {steps} steps; got "
            f"{new.size}"
        )
    moves = _between(old, new, block, params)
    own = weights.in_basis(new, steps)
    return own or BasisWeightsConfig(basis=new.kind, num_basis=new.size), *moves


def _between(
    old: Basis, new: Basis, block: DepthBlockConfig, params: StepSizeParams
) -> tuple[Transfer, Transfer]:
    """The transfers of weights and of batch statistics from one basis to another.

    Layers of explicit Euler use their weights at the start of each step: smooth functions are
    fitted to the weights at these depths, and statistics are averaged as in training. All other
    cases are least-squares projections.
    """
    cells, smooth = old.kind == "piecewise_constant", new.kind != "piecewise_constant"
    if cells and smooth and block.integrator.build().evaluates_at_start:
        starts = _starts(block, params)
        functions = _basis_of_statistics(new)(starts, np)
        fractions = functions / functions.sum(axis=1, keepdims=True)
        return Transfer(fitted_matrix(new, starts), new(starts, np).T), Transfer(fractions)
    stored = [_basis_of_statistics(basis) for basis in (old, new)]
    there, back = projection_matrix(old, new), projection_matrix(new, old)
    return Transfer(there, back), Transfer(mean_matrix(*stored))


def _starts(block: DepthBlockConfig, params: StepSizeParams) -> np.ndarray:
    """Start of every layer, as a fraction of the depth."""
    if not block.step_sizes.stays_positive:  # refused when the new config is parsed
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
