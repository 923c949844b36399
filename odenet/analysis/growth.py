r"""Growth of perturbations from the input of a block to every point of its depth.

$\lVert \delta y_k \rVert / \lVert \delta y_0 \rVert$ for infinitely small $\delta y_0$: by the
singular values of $\partial y_k / \partial y_0$, through the block's own integrator.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from odenet.analysis.field_path import FieldPath, Path
from odenet.analysis.layer_factors import jacobian
from odenet.analysis.spectra import DENSE_SIZE
from odenet.arrays import Array, Float, State
from odenet.integrators import AdaptiveRungeKutta, Diffrax, OneStepIntegrator
from odenet.integrators.stages import StagedIntegrator
from odenet.models import Block, DepthBlock, Discretisation

_POWER_ITERATIONS, _RANDOM_DIRECTIONS = 24, 8


@dataclasses.dataclass(frozen=True)
class Growth:
    """Of one block, on the host; every array has the shape `(points, batch)`.

    Attributes:
        largest: Growth of the direction that grows most up to each point; of a large state, of the
            one direction that grows most up to the end, found by power iteration, from below.
        typical: Root mean square over random directions: over all, or of a large state over 8.
        smallest: Of the direction that shrinks most up to each point; None for a large state.
    """

    largest: np.ndarray
    typical: np.ndarray
    smallest: np.ndarray | None


def growth(field_path: FieldPath) -> Growth | None:
    """Measure growth along the paths of a few examples.

    Returns:
        None for a large state under an integrator that has no forward derivative.
    """
    if math.prod(field_path.path.shape[2:]) <= DENSE_SIZE:
        matrices = np.asarray(path_jacobians(field_path), np.float64)
        values = np.linalg.svd(matrices, compute_uv=False)
        typical = np.sqrt(np.mean(values**2, axis=-1))
        return Growth(values[..., 0], typical, values[..., -1])
    if _without_forward_derivative(field_path) is not None:
        return None
    large = jax.jit(lambda h0: _large(field_path, h0))(field_path.path[0])
    largest, typical = map(np.asarray, large)
    return Growth(largest, typical, None)


def path_jacobians(field_path: FieldPath) -> Float[Array, "points batch rows columns"]:
    """Derivatives of the states at all points by the first, for a state that is not large."""
    integrator = _without_forward_derivative(field_path)
    if integrator is not None:
        return jax.jit(lambda: _by_products(field_path, integrator))()
    return jax.jit(lambda h0: _by_tangents(field_path, h0))(field_path.path[0])


def _without_forward_derivative(field_path: FieldPath) -> OneStepIntegrator | None:
    """The integrator of the block, if JAX cannot push tangents through it."""
    if not isinstance(field_path.block, DepthBlock):
        return None
    integrator = field_path.block.integrator
    if isinstance(integrator, AdaptiveRungeKutta | Diffrax):
        return integrator
    return None


def _path(block: Block, h0: State) -> Path:
    """The path as a function of the first states, with a forward derivative."""
    if not isinstance(block, DepthBlock):
        path = block(h0, save_path=True).path
    else:
        way = Discretisation()
        if isinstance(block.integrator, StagedIntegrator):
            # What is stored for a backward pass changes no number.
            way = Discretisation(dataclasses.replace(block.integrator, remat="none"))
        path = block(h0, way, save_path=True).path
    assert path is not None
    return path


def _by_tangents(field_path: FieldPath, h0):
    """Jacobians of all points, shape `(points, batch, size, size)`."""
    batch, shape = h0.shape[0], h0.shape[1:]
    size = math.prod(shape)
    _, push = jax.linearize(lambda h0: _path(field_path.block, h0), h0)

    def column(unit):
        path = push(jnp.broadcast_to(unit.reshape(shape), h0.shape))
        return path.reshape(len(path), batch, size)

    return jnp.moveaxis(jax.lax.map(column, jnp.eye(size, dtype=h0.dtype)), 0, -1)


def _by_products(field_path: FieldPath, integrator: OneStepIntegrator):
    """The same for an integrator without a forward derivative, solved from point to point."""
    h0 = field_path.path[0]

    def factor(field, t0, tau, h):
        return jacobian(lambda h: integrator.advance(field, t0, tau, h).h1, h)

    factors = field_path.each_step(factor)
    first = jnp.broadcast_to(jnp.eye(factors.shape[-1], dtype=h0.dtype), factors.shape[1:])

    def multiply(product, factor):
        product = factor @ product
        return product, product

    _, products = jax.lax.scan(multiply, first, factors)
    return jnp.concatenate([first[None], products])


def _large(field_path: FieldPath, h0):
    _, push = jax.linearize(lambda h0: _path(field_path.block, h0), h0)
    _, push_end = jax.linearize(lambda h0: _path(field_path.block, h0)[-1], h0)
    pull_end = jax.linear_transpose(push_end, h0)

    def norm(v, axes):
        return jnp.sqrt(jnp.sum(v**2, axis=tuple(range(axes, v.ndim))))

    def unit(v):
        length = norm(v, 1).reshape(-1, *[1] * (v.ndim - 1))
        return v / jnp.where(length == 0, jnp.ones_like(length), length)

    def once(_, v):
        return unit(pull_end(push_end(v))[0])

    first, *others = jax.random.split(jax.random.key(0), 1 + _RANDOM_DIRECTIONS)
    start = unit(jax.random.normal(first, h0.shape, h0.dtype))
    worst = jax.lax.fori_loop(0, _POWER_ITERATIONS, once, start)

    def at_random(key):
        return norm(push(unit(jax.random.normal(key, h0.shape, h0.dtype))), 2) ** 2

    squares = jax.lax.map(at_random, jnp.stack(others))
    return norm(push(worst), 2), jnp.sqrt(jnp.mean(squares, axis=0))
