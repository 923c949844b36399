"""Arnoldi's method against LAPACK, and against what is known of Krylov spaces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.analysis.arnoldi import arnoldi, ritz_values


def products(matrices):
    return lambda v: jnp.einsum("bij,bj->bi", matrices, v)


def normal_with(values, key):
    """A real matrix with these real eigenvalues and complex pairs, in an orthonormal basis."""
    size = len(values)
    core = np.zeros((size, size))
    place = 0
    while place < size:
        value = values[place]
        if value.imag:
            a, b = value.real, value.imag
            core[place : place + 2, place : place + 2] = [[a, b], [-b, a]]
            place += 2
        else:
            core[place, place] = value.real
            place += 1
    q, _ = np.linalg.qr(np.asarray(jax.random.normal(key, (size, size))))
    return q @ core @ q.T


@pytest.mark.parametrize("scale", [0.0, 0.05])
def test_rim_of_the_spectrum_is_that_of_lapack(getkey, scale):
    inner = list(np.linspace(-1, 1, 194).astype(complex))
    rim = [1.8 + 0j, -2.5 + 0j, 0.3 + 2j, 0.3 - 2j, -1 + 1.9j, -1 - 1.9j]
    matrix = normal_with(rim + inner, getkey())
    matrix = matrix + scale * np.asarray(jax.random.normal(getkey(), matrix.shape)) / np.sqrt(200)
    batch = jnp.asarray(np.stack([matrix, 2 * matrix.T]))
    start = jax.random.normal(getkey(), (2, 200))
    found = np.asarray(arnoldi(products(batch), start, 60))
    for hessenberg, exact in zip(found, map(np.linalg.eigvals, np.asarray(batch)), strict=True):
        values, residuals = ritz_values(hessenberg)
        for order in (np.real, np.abs, lambda z: -np.real(z), np.imag):
            there = exact[np.argmax(order(exact))]
            here = values[np.argmax(order(values))]
            assert abs(here - there) < 1e-6 * abs(there)
            assert residuals[np.argmax(order(values))] < 1e-4


def test_recurrence_holds_and_basis_is_orthonormal_to_round_off(getkey):
    """`H` is `V^T A V`: its eigenvalues are those of the matrix once the space is whole."""
    matrix = jax.random.normal(getkey(), (1, 30, 30))
    hessenberg = arnoldi(products(matrix), jax.random.normal(getkey(), (1, 30)), 30)[0]
    values, _ = ritz_values(np.asarray(hessenberg))
    exact = np.linalg.eigvals(np.asarray(matrix[0]))
    np.testing.assert_allclose(np.sort_complex(values), np.sort_complex(exact), atol=1e-10)
    assert abs(np.asarray(hessenberg)[30, 29]) < 1e-10


def test_residuals_are_those_of_the_vectors(getkey):
    matrix = np.diag(np.arange(1.0, 13.0))
    start = np.ones((1, 12))
    steps = 5
    hessenberg = np.asarray(arnoldi(products(jnp.asarray(matrix)[None]), jnp.asarray(start), steps))
    values, residuals = ritz_values(hessenberg[0])
    # The same space by QR of the powers, and the residuals of the vectors in it.
    powers = np.stack([np.linalg.matrix_power(matrix, k) @ start[0] for k in range(steps)], axis=1)
    basis, _ = np.linalg.qr(powers)
    ritz, vectors = np.linalg.eigh(basis.T @ matrix @ basis)
    np.testing.assert_allclose(np.sort(values.real), ritz, rtol=1e-10)
    left = np.linalg.norm(matrix @ basis @ vectors - basis @ vectors * ritz, axis=0)
    np.testing.assert_allclose(residuals[np.argsort(values.real)], left, rtol=1e-8)


@pytest.mark.parametrize("values", [[2.0, 2.0, 2.0, 2.0, 2.0, -1.0], [0.0] * 6])
def test_space_that_ends_early_gives_the_eigenvalues_that_it_holds(getkey, values):
    matrix = jnp.diag(jnp.asarray(values))[None]
    hessenberg = arnoldi(products(matrix), jax.random.normal(getkey(), (1, 6)), 5)[0]
    found, residuals = ritz_values(np.asarray(hessenberg))
    np.testing.assert_allclose(np.sort(found.real), sorted(set(values)), atol=1e-12)
    assert np.all(residuals < 1e-12)
