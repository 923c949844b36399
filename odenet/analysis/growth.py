r"""Growth of perturbations from the input of a block to every point of its depth.

$\lVert \delta y_k \rVert / \lVert \delta y_0 \rVert$ for infinitely small $\delta y_0$: by the
singular values of $\partial y_k / \partial y_0$, through the block's own integrator.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from odenet.analysis.field_path import FieldPath, Path
from odenet.analysis.layer_factors import jacobian
from odenet.analysis.spectra import DENSE_SIZE
from odenet.arrays import Array, Float, State
from odenet.integrators.base import StepMap
from odenet.models import Discretisation

_POWER_ITERATIONS, _RANDOM_DIRECTIONS = 24, 8


@dataclasses.dataclass(frozen=True)
class Growth:
    """Growth in one block, on the host; every array has the shape `(points, batch)`.

    Attributes:
        largest: Growth of the direction that grows most up to each point; for a large state, of the
            single direction that grows most up to the end, a lower bound by power iteration.
        typical: Root mean square over random directions: over all, or over 8 for a large state.
        smallest: Growth of the direction that shrinks most up to each point; None for a large
            state.
    """

    largest: np.ndarray
    typical: np.ndarray
    smallest: np.ndarray | None


def growth(field_path: FieldPath) -> Growth | None:
    """Measure growth along the paths of selected examples.

    Returns:
        None for a large state under an integrator without a forward derivative, and for any state
        if `path_jacobians` is None.
    """
    if math.prod(field_path.path.shape[2:]) <= DENSE_SIZE:
        found = path_jacobians(field_path)
        if found is None:
            return None
        matrices = np.asarray(found, np.float64)
        values = np.linalg.svd(matrices, compute_uv=False)
        typical = np.sqrt(np.mean(values**2, axis=-1))
        return Growth(values[..., 0], typical, values[..., -1])
    path = _forward_path(field_path)
    if path is None:
        return None
    large = jax.jit(lambda h0: _large(path, h0))(field_path.path[0])
    largest, typical = map(np.asarray, large)
    return Growth(largest, typical, None)


def path_jacobians(field_path: FieldPath) -> Float[Array, "points batch rows columns"] | None:
    """Derivatives of the states at all points with respect to the initial state, if it is small.

    Returns:
        None if neither the path has a forward derivative nor a step is a map of the state.
    """
    path = _forward_path(field_path)
    if path is not None:
        return jax.jit(lambda h0: _by_tangents(path, h0))(field_path.path[0])
    step = None if field_path.integrator is None else field_path.integrator.step_map()
    if step is None:
        return None
    return jax.jit(lambda: _by_products(field_path, step))()


def _forward_path(field_path: FieldPath) -> Callable[[State], Path] | None:
    """The path as a function of the initial states, if JAX can push tangents through it."""
    block, how = field_path.block, ()
    if field_path.integrator is not None:
        integrator = field_path.integrator.with_forward_mode()
        if integrator is None:
            return None
        how = (Discretisation(integrator),)

    def path(h0: State) -> Path:
        found = block(h0, *how, save_path=True).path
        assert found is not None
        return found

    return path


def _by_tangents(path_from: Callable[[State], Path], h0: State):
    """Jacobians of all points, shape `(points, batch, size, size)`."""
    batch, shape = h0.shape[0], h0.shape[1:]
    size = math.prod(shape)
    _, push = jax.linearize(path_from, h0)

    def column(unit):
        path = push(jnp.broadcast_to(unit.reshape(shape), h0.shape))
        return path.reshape(len(path), batch, size)

    return jnp.moveaxis(jax.lax.map(column, jnp.eye(size, dtype=h0.dtype)), 0, -1)


def _by_products(field_path: FieldPath, step: StepMap):
    """The same for an integrator without a forward derivative, as products of step Jacobians."""
    h0 = field_path.path[0]

    def factor(field, t0, tau, h):
        return jacobian(lambda h: step(field, t0, tau, h), h)

    factors = field_path.each_step(factor)
    first = jnp.broadcast_to(jnp.eye(factors.shape[-1], dtype=h0.dtype), factors.shape[1:])

    def multiply(product, factor):
        product = factor @ product
        return product, product

    _, products = jax.lax.scan(multiply, first, factors)
    return jnp.concatenate([first[None], products])


def _large(path_from: Callable[[State], Path], h0: State):
    _, push = jax.linearize(path_from, h0)
    _, push_end = jax.linearize(lambda h0: path_from(h0)[-1], h0)
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
