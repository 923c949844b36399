"""Statistics of activations and gradients over depth, as in Glorot and Bengio 2010 (sec. 3 and 4).

All statistics are reduced on the device; only a few numbers per layer are transferred.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from odenet.analysis.chain import Chain, chains_of
from odenet.analysis.gradient_flow import BlockFlow, GradientFlow, Path
from odenet.analysis.layer_factors import Factors, factors
from odenet.arrays import Array, Float, Scalar
from odenet.models import Network

Norms = dict[str, Float[Array, " layers"]]
"""`norm` and root mean square `rms` of a gradient, for each set of weights."""

Moments = dict[str, Float[Array, " points"]]
"""`mean` and `std` over the batch and the state, for each point of the depth."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class BlockStatistics:
    """Statistics of the flow through one block.

    Attributes:
        states: Moments of $y_\\ell$, shape `(num_steps + 1,)`.
        responses: Moments of $y_\\ell - y_{\\ell-1}$, the increment of a residual layer (the
            responses of He et al. 2015, fig. 7, times `tau`), shape `(num_steps,)`; None in a
            feed-forward block.
        gradients: Moments of $dL/dy_\\ell$, and their `norm` over the batch, shape
            `(num_steps + 1,)`.
        weights: `norm` and `rms` of $dL/dW$ of every layer, over its matrices and kernels, shape
            `(num_layers,)`.
        others: The same for its biases, scales and weights of the time; None if it has none.
        taus: Step sizes, `value` and `gradient`, shape `(num_steps,)`; None in a feed-forward
            block.
        factors: Factors at selected examples, or None if not requested; batch norms use their
            running statistics, as in evaluation.
    """

    states: Moments
    responses: Moments | None
    gradients: Moments
    weights: Norms
    others: Norms | None
    taus: dict[str, Float[Array, " num_steps"]] | None
    factors: Factors | None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class FlowStatistics:
    """Statistics of the flow through a network.

    Attributes:
        loss: The loss.
        blocks: From the first to the last.
        projections: Norms of $dL/d\\theta$ of the stem and of the projections between blocks.
        head: Norms of $dL/d\\theta$ of the head.
        inputs: Norm of $dL/dx$ over the batch.
    """

    loss: Scalar
    blocks: tuple[BlockStatistics, ...]
    projections: tuple[Scalar, ...]
    head: Scalar
    inputs: Scalar


def flow_statistics(
    network: Network, flow: GradientFlow, factor_paths: Sequence[Path] | None
) -> FlowStatistics:
    """The statistics of a gradient flow.

    Args:
        network: The measured network.
        flow: All states and gradients.
        factor_paths: States of every block along which its factors are measured, with the network
            in evaluation mode; None to measure none.
    """
    blocks = [
        _block(chain, found, None if factor_paths is None else factor_paths[index])
        for index, (chain, found) in enumerate(zip(chains_of(network), flow.blocks, strict=True))
    ]
    projections = tuple(_norm(gradients) for gradients in flow.projections)
    return FlowStatistics(
        flow.loss, tuple(blocks), projections, _norm(flow.head), _norm(flow.inputs)
    )


def _block(chain: Chain, flow: BlockFlow, factor_path: Path | None) -> BlockStatistics:
    leaves = jax.tree.leaves(flow.weights)
    # The gradient of a bias depends on its layer alone, that of a matrix also on the input state.
    weights = [leaf for leaf in leaves if leaf.ndim > 2]
    others = [leaf for leaf in leaves if leaf.ndim <= 2]
    return BlockStatistics(
        _moments(flow.states),
        _moments(flow.states[1:] - flow.states[:-1]) if chain.has_identity else None,
        _moments(flow.gradients) | {"norm": jax.vmap(_norm)(flow.gradients)},
        _norms(weights or others),
        _norms(others) if weights and others else None,
        {"value": chain.taus.reshape(-1), "gradient": flow.taus} if chain.has_taus else None,
        None if factor_path is None else factors(chain, factor_path),
    )


def _norms(leaves: list[Array]) -> Norms:
    size = sum(math.prod(leaf.shape[1:]) for leaf in leaves)
    norm = jax.vmap(_norm)(leaves)
    return {"norm": norm, "rms": norm / math.sqrt(size)}


def _moments(x: Float[Array, "points batch *state"]) -> Moments:
    axes = tuple(range(1, x.ndim))
    return {"mean": jnp.mean(x, axis=axes), "std": jnp.std(x, axis=axes)}


def _norm(tree: Any) -> Scalar:
    """Euclidean norm over all leaves, without overflow or underflow of the squares."""
    leaves = [jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)]
    if not leaves:
        return jnp.zeros((), dtype=float)
    everything = jnp.concatenate(leaves)
    top = jnp.max(jnp.abs(everything))
    scale = jnp.where((top > 0) & jnp.isfinite(top), top, jnp.ones_like(top))
    return scale * jnp.sqrt(jnp.sum((everything / scale) ** 2))
