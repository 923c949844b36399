r"""Eigenvalues and logarithmic norm of the Jacobian of every layer's field along a path.

$J_k = \partial f / \partial h$ at the start of step $k$ (Haber and Ruthotto 2017, arXiv:1705.03341,
eq. 3.7). The flow is stable where no eigenvalue has a positive real part (eq. 3.6, for a Jacobian
that changes slowly); the logarithmic norm $\mu_2(J) = \lambda_{\max}((J + J^T) / 2)$ bounds the
initial growth rate of a perturbation in any direction (Dahlquist 1959), and is never below the
largest real part.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from odenet.analysis.arnoldi import arnoldi, ritz_values
from odenet.analysis.field_path import FieldPath
from odenet.analysis.layer_factors import jacobian

DENSE_SIZE = 128
"""Size of a state up to which the Jacobian is formed; for larger ones, Ritz values."""

KRYLOV_SIZE = 40
"""Number of products with the Jacobian of a larger state, for each layer and example."""

_CONVERGED = 1e-2


@dataclasses.dataclass(frozen=True)
class Spectra:
    """Spectra of one block, on the host.

    Attributes:
        eigenvalues: Eigenvalues of every step and example, an array of complex numbers; for a large
            state the Ritz values with a residual below 1 % of the largest modulus, or the rightmost
            and the largest if there are none.
        abscissa: Largest real part, shape `(num_steps, batch)`; for a large state a lower bound.
        log_norm: $\\mu_2$, shape `(num_steps, batch)`; for a large state a lower bound.
        exact: Whether these are all eigenvalues.
    """

    eigenvalues: list[list[np.ndarray]]
    abscissa: np.ndarray
    log_norm: np.ndarray
    exact: bool


def spectra(field_path: FieldPath) -> Spectra:
    """Measure the Jacobian of every step at its initial states.

    Args:
        field_path: A block with a field, and selected examples.
    """
    return spectra_of(jax.device_get(jax.jit(lambda: jacobians(field_path))()))


def jacobians(field_path: FieldPath) -> Any:
    """The measurement on the device: Jacobians of a small state, else their Krylov spaces.

    Args:
        field_path: A block with a field, and selected examples.
    """
    dense = math.prod(field_path.path.shape[2:]) <= DENSE_SIZE
    return field_path.each_step(_dense if dense else _krylov)


def spectra_of(measured: Any) -> Spectra:
    """Eigenvalues from the result of `jacobians`, on the host."""
    if isinstance(measured, _Dense):
        matrices, log_norm = measured
        values = np.linalg.eigvals(matrices.astype(np.float64))
        eigenvalues = [list(step) for step in values]
        return Spectra(eigenvalues, np.real(values).max(-1), log_norm, True)
    general, symmetric = measured
    eigenvalues = [[_converged(*ritz_values(each)) for each in step] for step in general]
    abscissa = [[np.real(each).max() for each in step] for step in eigenvalues]
    log_norm = [[np.real(ritz_values(each)[0]).max() for each in step] for step in symmetric]
    return Spectra(eigenvalues, np.asarray(abscissa), np.asarray(log_norm), False)


class _Dense(NamedTuple):
    matrices: Any
    log_norm: Any


def _dense(field, t0, tau, h):
    del tau
    matrix = jacobian(lambda h: field(t0, h), h)
    symmetric = (matrix + jnp.swapaxes(matrix, 1, 2)) / 2
    return _Dense(matrix, jnp.linalg.eigvalsh(symmetric)[:, -1])


def _krylov(field, t0, tau, h):
    del tau
    _, push = jax.linearize(lambda h: field(t0, h), h)
    pull = jax.linear_transpose(push, h)
    start = jax.random.normal(jax.random.key(0), h.shape, h.dtype)
    general = arnoldi(push, start, KRYLOV_SIZE)
    return general, arnoldi(lambda v: (push(v) + pull(v)[0]) / 2, start, KRYLOV_SIZE)


def _converged(values: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    kept = values[residuals <= _CONVERGED * np.abs(values).max()]
    if len(kept):
        return kept
    return values[[int(np.argmax(np.real(values))), int(np.argmax(np.abs(values)))]]
