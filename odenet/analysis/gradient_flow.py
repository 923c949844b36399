r"""The gradient at every depth: the product of layer factors, one factor at a time.

A layer of a residual network is $y_\ell = y_{\ell-1} + \tau_\ell f(y_{\ell-1}; \theta_\ell)$ with a
projection $P$ between blocks of different widths; a plain layer is
$y_\ell = f(y_{\ell-1}; \theta_\ell)$. By the chain rule

$$\frac{\partial L}{\partial \theta_\ell} = \frac{\partial L}{\partial y_L}
\prod_{j=L}^{\ell+1} F_j \; \frac{\partial y_\ell}{\partial \theta_\ell}, \qquad
F_j = \mathbb{I} + \tau_j \frac{\partial f}{\partial y_{j-1}}, \quad P, \quad \text{or} \quad
\frac{\partial f}{\partial y_{j-1}}$$

(Herberg 2023, arXiv:2304.05133, ResNet; Antil, Díaz and Herberg 2022, arXiv:2204.08528). The
product is evaluated from its left by vector-Jacobian products, and every partial product is kept:
it is $\partial L/\partial y_\ell$.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from odenet.analysis.chain import Chain, chains_of
from odenet.arrays import Array, Float, Scalar, State
from odenet.integrators.path import path_through
from odenet.models import Network

Path = Float[Array, "points batch *state"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class BlockFlow:
    """States and gradients of one block.

    Attributes:
        states: $y_0$ to $y_L$, shape `(num_steps + 1, batch, *state)`.
        gradients: $dL/dy_0$ to $dL/dy_L$, of the same shape.
        weights: $dL/d\\theta$ of every set of trained weights, each leaf with a leading axis
            `num_layers`; a set used by several steps has the sum over them.
        taus: $dL/d\\tau$ of every step, shape `(num_steps,)`, the change of later times included;
            zeros in a feed-forward block.
    """

    states: Path
    gradients: Path
    weights: Any
    taus: Float[Array, " num_steps"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class GradientFlow:
    """States and gradients of a network.

    Attributes:
        loss: The loss.
        blocks: From the first to the last.
        projections: $dL/d\\theta$ of the stem and of the projections between blocks.
        head: $dL/d\\theta$ of the head.
        inputs: $dL/dx$, the shape of the inputs.
    """

    loss: Scalar
    blocks: tuple[BlockFlow, ...]
    projections: tuple[Any, ...]
    head: Any
    inputs: Float[Array, "batch *inputs"]


def gradient_flow(
    network: Network,
    loss: Callable[[Float[Array, "batch outputs"]], Scalar],
    inputs: Float[Array, "batch *inputs"],
    *,
    training: bool = False,
) -> GradientFlow:
    """Compute the gradient of a loss at every depth from the outputs of a network to its inputs.

    Everything equals `jax.grad` of the same loss to round-off. All states and all their gradients
    are kept, so memory grows with depth times batch.

    Args:
        network: Blocks of residual layers under an explicit method, or of feed-forward layers.
        loss: Function of the outputs, a scalar; without penalties of the step sizes.
        inputs: Normalised inputs.
        training: Whether batch norms use the statistics of these inputs, through which the gradient
            flows too, as in training; else their running statistics. The network is not changed.

    Raises:
        ConfigError: naming the integrator, if the steps of a block are not maps of the state.
    """
    chains = chains_of(network, training=training)
    x, pulls, paths = inputs, [], []
    for projection, chain in zip(network.projections, chains, strict=True):
        x, pull = _module_vjp(projection, x, training)
        pulls.append(pull)
        paths.append(_forward(chain, x))
        x = paths[-1][-1]
    outputs, pull_head = _module_vjp(network.head, x, training)
    value, pull_loss = jax.vjp(loss, outputs)
    head, gradient = pull_head(*pull_loss(jnp.ones_like(value)))

    blocks, projections = [], []
    for chain, path, pull in reversed(list(zip(chains, paths, pulls, strict=True))):
        blocks.append(_backward(chain, path, gradient))
        of_projection, gradient = pull(blocks[-1].gradients[0])
        projections.append(of_projection)
    return GradientFlow(value, tuple(blocks[::-1]), tuple(projections[::-1]), head, gradient)


def states_of(network: Network, inputs: Float[Array, "batch *inputs"]) -> list[Path]:
    """States at all points of every block, with the running statistics of batch norms.

    Raises:
        ConfigError: as `gradient_flow`.
    """
    x, paths = inputs, []
    for projection, chain in zip(network.projections, chains_of(network), strict=True):
        paths.append(_forward(chain, projection(x)))
        x = paths[-1][-1]
    return paths


def _module_vjp(
    module: Any, x: Array, training: bool
) -> tuple[Array, Callable[[Array], tuple[Any, Array]]]:
    graphdef, params, fixed = nnx.split(module, nnx.Param, ...)

    def apply(params, x):
        # A copy, since its statistics change.
        return nnx.merge(graphdef, params, fixed, copy=True)(x, training=training)

    return jax.vjp(apply, params, x)


def _forward(chain: Chain, h0: State) -> Path:
    """All states, starting with `h0`."""

    def layer(h, inputs):
        params, fixed, t0s, taus = inputs

        def step(h, times):
            t0, tau = times
            h = chain.step(params, fixed, t0, tau, h)
            return h, h

        return jax.lax.scan(step, h, (t0s, taus))

    _, states = jax.lax.scan(layer, h0, (chain.params, chain.fixed, chain.t0s, chain.taus))
    return path_through(h0, states)


def _backward(chain: Chain, path: Path, gradient: State) -> BlockFlow:
    """Multiply `gradient`, dL/dy of the last state, by the factors in turn."""

    def layer(gradient, inputs):
        params, fixed, t0s, taus, starts = inputs

        def of_layer(params, t0, tau, h):
            return chain.step(params, fixed, t0, tau, h)

        def step(carry, inputs):
            gradient, of_params = carry
            _, pull = jax.vjp(of_layer, params, *inputs)
            d_params, d_t0, d_tau, gradient = pull(gradient)
            of_params = jax.tree.map(jnp.add, of_params, d_params)
            return (gradient, of_params), (gradient, d_t0, d_tau)

        nothing = jax.tree.map(jnp.zeros_like, params)
        (gradient, of_params), found = jax.lax.scan(
            step, (gradient, nothing), (t0s, taus, starts), reverse=True
        )
        return gradient, (of_params, *found)

    starts = path[:-1].reshape(*chain.taus.shape, *path.shape[1:])
    _, (weights, gradients, d_t0s, d_taus) = jax.lax.scan(
        layer,
        gradient,
        (chain.params, chain.fixed, chain.t0s, chain.taus, starts),
        reverse=True,
    )
    gradients = jnp.concatenate([gradients.reshape(path[:-1].shape), gradient[None]])
    # A step size shifts the start of every later step: t_k is the sum of the steps before it.
    d_t0s = d_t0s.reshape(-1)
    moved = jnp.cumsum(d_t0s[::-1])[::-1] - d_t0s
    return BlockFlow(path, gradients, weights, d_taus.reshape(-1) + moved)
