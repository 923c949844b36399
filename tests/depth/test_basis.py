import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import chebyshev, legendre

from odenet.depth.basis import Basis, mean_matrix, projection_matrix

S = np.linspace(0.0, 1.0, 23)


@pytest.mark.parametrize(
    ("kind", "vander"), [("legendre", legendre.legvander), ("chebyshev", chebyshev.chebvander)]
)
@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_polynomials_equal_those_of_numpy(kind, vander, size):
    np.testing.assert_allclose(Basis(kind, size)(S, np), vander(2 * S - 1, size - 1).T, atol=1e-13)


def test_fourier_functions_are_orthogonal_and_in_order():
    s = (np.arange(64) + 0.5) / 64
    found = Basis("fourier", 5)(s, np)
    np.testing.assert_allclose(found @ found.T / 64, np.diag([1, 0.5, 0.5, 0.5, 0.5]), atol=1e-14)
    np.testing.assert_allclose(found[3], np.cos(4 * np.pi * s), atol=1e-13)
    np.testing.assert_allclose(found[4], np.sin(4 * np.pi * s), atol=1e-13)


def test_hats_interpolate_their_coefficients():
    knots = np.array([1.0, -2.0, 0.5, 3.0])
    found = knots @ Basis("piecewise_linear", 4)(S, np)
    np.testing.assert_allclose(found, np.interp(S, np.linspace(0, 1, 4), knots), atol=1e-14)


def test_cells_are_one_on_their_part_of_the_depth():
    found = Basis("piecewise_constant", 4)(np.array([0.0, 0.26, 0.5, 0.99, 1.0]), np)
    np.testing.assert_array_equal(found.argmax(axis=0), [0, 1, 2, 3, 3])
    np.testing.assert_array_equal(found.sum(axis=0), 1)


@pytest.mark.parametrize(
    "kind", ["piecewise_constant", "piecewise_linear", "legendre", "chebyshev", "fourier"]
)
def test_values_under_jax_are_those_under_numpy(kind):
    basis = Basis(kind, 5)
    np.testing.assert_allclose(jax.jit(basis)(jnp.asarray(S)), basis(S, np), atol=1e-13)
    assert basis(jnp.asarray(0.3, jnp.float32)).dtype == jnp.float32


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Basis("piecewise_constant", 4), Basis("piecewise_constant", 8)),
        (Basis("piecewise_linear", 4), Basis("piecewise_linear", 7)),
        (Basis("legendre", 4), Basis("legendre", 9)),
        (Basis("legendre", 5), Basis("chebyshev", 5)),
        (Basis("piecewise_constant", 3), Basis("piecewise_constant", 12)),
        (Basis("fourier", 3), Basis("fourier", 7)),
    ],
)
def test_richer_basis_keeps_the_function_and_the_way_back_is_the_identity(old, new):
    coefficients = np.random.default_rng(0).normal(size=old.size)
    there, back = projection_matrix(old, new), projection_matrix(new, old)
    s = np.linspace(0.001, 0.999, 50)
    np.testing.assert_allclose(
        (there @ coefficients) @ new(s, np), coefficients @ old(s, np), atol=1e-12
    )
    np.testing.assert_allclose(back @ there, np.eye(old.size), atol=1e-12)


def test_cells_are_copied_and_averaged():
    fine = projection_matrix(Basis("piecewise_constant", 3), Basis("piecewise_constant", 6))
    np.testing.assert_allclose(fine, np.repeat(np.eye(3), 2, axis=0), atol=1e-13)
    coarse = projection_matrix(Basis("piecewise_constant", 6), Basis("piecewise_constant", 3))
    np.testing.assert_allclose(coarse, np.repeat(np.eye(3), 2, axis=1) / 2, atol=1e-13)


def test_projection_is_the_nearest_function():
    # The best line through s^2 on [0, 1] is s - 1/6; in Legendre terms of x = 2s - 1, s^2 is
    # P0/3 + P1/2 + P2/6.
    found = projection_matrix(Basis("legendre", 3), Basis("piecewise_linear", 2)) @ [
        1 / 3,
        1 / 2,
        1 / 6,
    ]
    np.testing.assert_allclose(found, [-1 / 6, 5 / 6], atol=1e-13)


def test_means_stay_between_the_values_that_they_are_made_of():
    cells, knots = Basis("piecewise_constant", 4), Basis("piecewise_linear", 3)
    for old, new in ((cells, knots), (knots, cells), (knots, Basis("piecewise_linear", 6))):
        matrix = mean_matrix(old, new)
        assert matrix.min() >= -1e-15
        np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(mean_matrix(knots, Basis("piecewise_linear", 5))[1], [0.5, 0.5, 0])
    np.testing.assert_allclose(mean_matrix(knots, cells)[0], [0.75, 0.25, 0], atol=1e-14)
    # A quarter of the first hat's weight lies in the second cell.
    np.testing.assert_allclose(mean_matrix(cells, knots)[0], [0.75, 0.25, 0, 0], atol=1e-14)
