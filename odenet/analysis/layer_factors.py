r"""The factors of the gradient's product: their largest and smallest singular values.

The factor of a step is its Jacobian, $F = \mathbb{I} + \tau\,\partial f/\partial y$ for a residual
layer and $\partial f/\partial y$ for a plain one. The norm of a gradient changes over the step by
by a ratio between the smallest and the largest singular value of $F$. An identity term does not
bound the smallest one away from 0: $\tau\,\partial f/\partial y$ may have eigenvalues near $-1$. It
implies $\sigma_{\min}(F) \ge 1 - \lVert\tau\,\partial f/\partial y\rVert$, which is no bound if
that norm is 1 or more.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from odenet.analysis.chain import Chain
from odenet.arrays import Array, Float, State

EXACT_SIZE = 256
"""Size of a state up to which the Jacobian is formed and decomposed."""

_POWER_ITERATIONS = 24


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Factors:
    """Singular values of the factor of every step, over the given examples.

    Attributes:
        largest: The largest over the examples, shape `(num_steps,)`; by power iteration, a lower
            bound, if the state is larger than `EXACT_SIZE`.
        mean: Mean over all singular values and examples (Glorot and Bengio 2010, sec. 4.2.1), or
            None for a larger state.
        smallest: The smallest over the examples, or None for a larger state.
        branch: The largest singular value of the factor without its identity, over the examples,
            computed as `largest`; None in a feed-forward block, whose factors have no identity.
    """

    largest: Float[Array, " num_steps"]
    mean: Float[Array, " num_steps"] | None
    smallest: Float[Array, " num_steps"] | None
    branch: Float[Array, " num_steps"] | None


def factors(chain: Chain, path: Float[Array, "points batch *state"]) -> Factors:
    """Measure the factor of every step of a block.

    Args:
        chain: The steps; examples of a batch must not interact.
        path: The states of selected examples at all points of the grid.
    """

    def measure(step: Callable[[State], State], h: State) -> Factors:
        if math.prod(h.shape[1:]) <= EXACT_SIZE:
            return _decomposed(step, h, chain.has_identity)
        branch = _power(lambda h: step(h) - h, h) if chain.has_identity else None
        return Factors(_power(step, h), None, None, branch)

    return chain.each_step(measure, path)


def jacobian(step: Callable[[State], State], h: State) -> Float[Array, "batch outputs inputs"]:
    """The Jacobian of a step at every example, row by row by vector-Jacobian products.

    Args:
        step: A map of states in which examples do not interact.
        h: States, shape `(batch, *state)`; they are flattened in the result.
    """
    batch, shape = h.shape[0], h.shape[1:]
    size = math.prod(shape)
    end, pull = jax.vjp(step, h)

    def row(unit: Array) -> Array:
        (product,) = pull(jnp.broadcast_to(unit.reshape(shape), end.shape))
        return product.reshape(batch, size)

    rows = jax.vmap(row)(jnp.eye(size, dtype=h.dtype))
    return jnp.swapaxes(rows, 0, 1)


def _decomposed(step: Callable[[State], State], h: State, has_identity: bool) -> Factors:
    factor = jacobian(step, h)
    values = jnp.linalg.svd(factor, compute_uv=False)
    branch = None
    if has_identity:
        identity = jnp.eye(factor.shape[-1], dtype=factor.dtype)[None]
        branch = jnp.max(jnp.linalg.svd(factor - identity, compute_uv=False))
    return Factors(jnp.max(values), jnp.mean(values), jnp.min(values), branch)


def _power(step: Callable[[State], State], h: State) -> Float[Array, ""]:
    """The largest singular value of any example's Jacobian, a lower bound."""
    _, push = jax.linearize(step, h)
    pull = jax.linear_transpose(push, h)

    def norm(v: State) -> Float[Array, "batch *ones"]:
        return jnp.sqrt(jnp.sum(v**2, axis=tuple(range(1, v.ndim)), keepdims=True))

    def unit(v: State) -> State:
        length = norm(v)
        return v / jnp.where(length == 0, jnp.ones_like(length), length)

    def once(_, v):
        return unit(pull(push(v))[0])

    start = unit(jax.random.normal(jax.random.key(0), h.shape, h.dtype))
    return jnp.max(norm(push(jax.lax.fori_loop(0, _POWER_ITERATIONS, once, start))))
