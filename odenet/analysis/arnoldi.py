r"""Eigenvalues of a matrix given by matrix-vector products: Arnoldi's method.

After `k` products there is an orthonormal basis $V_k$ of the Krylov space of the start vector, and
$A V_k = V_k H_k + h_{k+1,k} v_{k+1} e_k^T$ with a small Hessenberg matrix $H_k$. Its eigenvalues,
the Ritz values, converge to those of $A$ at the boundary of its spectrum first (Saad 2011,
"Numerical methods for large eigenvalue problems", sec. 6.2).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from odenet.arrays import Array, Float, State


def arnoldi(
    apply: Callable[[State], State], start: State, num_steps: int
) -> Float[Array, "batch rows columns"]:
    """The Hessenberg matrix of every example, with the row below it.

    Every new vector is orthogonalised twice: once is not enough in floating point.

    Args:
        apply: The product with the matrix of each example; examples do not interact.
        start: Start vectors, shape `(batch, *state)`, none of them zero.
        num_steps: Number of products `k`, at most the size of the state.

    Returns:
        Shape `(batch, k + 1, k)`. Where the Krylov space of an example ended early, the row below
        and all later columns are zero.
    """
    batch, shape, dtype = start.shape[0], start.shape, start.dtype
    tiny = 100 * jnp.finfo(dtype).eps

    def unit(v, scale):
        """The vector scaled to length 1, or zero if it is round-off of one of length `scale`."""
        length = jnp.linalg.norm(v, axis=1)
        there = length > tiny * scale
        divisor = jnp.where(there, length, jnp.ones_like(length))
        kept = jnp.where(there, length, jnp.zeros_like(length))
        return v / divisor[:, None] * there[:, None].astype(dtype), kept

    first, _ = unit(start.reshape(batch, -1), jnp.zeros(batch, dtype))
    basis = jnp.zeros((num_steps + 1, *first.shape), dtype).at[0].set(first)
    hessenberg = jnp.zeros((batch, num_steps + 1, num_steps), dtype)

    def step(j, carry):
        basis, hessenberg = carry
        v = apply(basis[j].reshape(shape)).reshape(batch, -1)
        length, column = jnp.linalg.norm(v, axis=1), jnp.zeros((batch, num_steps + 1), dtype)
        for _ in range(2):
            parts = jnp.einsum("kbn,bn->bk", basis, v)
            v = v - jnp.einsum("kbn,bk->bn", basis, parts)
            column = column + parts
        v, left = unit(v, length)
        column = column.at[:, j + 1].set(left)
        return basis.at[j + 1].set(v), hessenberg.at[:, :, j].set(column)

    return jax.lax.fori_loop(0, num_steps, step, (basis, hessenberg))[1]


def ritz_values(hessenberg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ritz values of one example, with their residuals.

    Args:
        hessenberg: Shape `(k + 1, k)`, the result of `arnoldi`.

    Returns:
        The values, complex, and the norms of `A v - theta v` for their unit vectors `v`.
    """
    below = np.diagonal(hessenberg, -1)
    ended = np.flatnonzero(below == 0)
    size = int(ended[0]) + 1 if len(ended) else hessenberg.shape[1]
    values, vectors = np.linalg.eig(hessenberg[:size, :size].astype(np.float64))
    return values, abs(below[size - 1]) * np.abs(vectors[-1])
