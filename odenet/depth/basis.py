"""Basis functions of the depth `s` in [0, 1], for weights that are functions of depth."""

import dataclasses
import math
from types import ModuleType
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from odenet.arrays import Float

BasisName = Literal["piecewise_constant", "piecewise_linear", "legendre", "chebyshev", "fourier"]


@dataclasses.dataclass(frozen=True)
class Basis:
    r"""The first `size` functions of a family on $s \in [0, 1]$, with $x = 2s - 1$.

    * `piecewise_constant`: 1 on cell $k$ of `size` equal cells, else 0;
    * `piecewise_linear`: hat functions on `size` knots $k / (\text{size} - 1)$; they sum to 1;
    * `legendre`: $P_k(x)$; `chebyshev`: $T_k(x)$, by their three-term recurrences;
    * `fourier`: $1, \cos 2\pi s, \sin 2\pi s, \cos 4\pi s, \ldots$, equal at both ends.

    As weights of neural ODEs: Massaroli et al. 2020, arXiv:2002.08071, sec. 3; as compressed
    residual networks: Queiruga et al. 2021, arXiv:2106.10820.

    Args:
        kind: Name of the family.
        size: Number of functions, at least 1; at least 2 for `piecewise_linear`.
    """

    kind: BasisName
    size: int

    def __call__(self, s: Any, xp: ModuleType = jnp) -> Any:
        """The values at `s`, shape `(size, *s.shape)`.

        Args:
            s: Depths in [0, 1], of any shape.
            xp: `jax.numpy`, or `numpy` for constants of a compiled program.
        """
        if self.kind == "legendre":
            return self._recurrence(s, xp, lambda k: ((2 * k + 1) / (k + 1), k / (k + 1)), 1.0)
        if self.kind == "chebyshev":
            return self._recurrence(s, xp, lambda k: (2.0, 1.0), 1.0)
        index = np.arange(self.size).reshape(-1, *[1] * np.ndim(s)).astype(s.dtype)
        if self.kind == "fourier":
            angle = (2 * math.pi) * np.ceil(index / 2) * s[None]
            return xp.where(index % 2 == 1, xp.cos(angle), xp.where(index, xp.sin(angle), 1.0))
        if self.kind == "piecewise_linear":
            return xp.maximum(0.0, 1 - xp.abs(s[None] * (self.size - 1) - index))
        cell = xp.clip(xp.floor(s * self.size), 0, self.size - 1)
        return (cell[None] == index).astype(s.dtype)

    def _recurrence(self, s: Any, xp: ModuleType, of: Any, first: float) -> Any:
        """Polynomials by $p_{k+1} = a_k x p_k - b_k p_{k-1}$ with `of(k) = (a_k, b_k)`."""
        x = 2 * s - 1
        values = [xp.full_like(x, first), x]
        for k in range(1, self.size - 1):
            a, b = of(k)
            values.append(a * x * values[k] - b * values[k - 1])
        return xp.stack(values[: self.size])

    @property
    def breaks(self) -> Float[np.ndarray, " breaks"]:
        """Points where the functions are not smooth, including both ends."""
        cells = {"piecewise_constant": self.size, "piecewise_linear": self.size - 1}
        return np.linspace(0, 1, cells.get(self.kind, 1) + 1)


def projection_matrix(old: Basis, new: Basis) -> Float[np.ndarray, "new old"]:
    r"""Matrix of the $L^2$ projection from one basis to another, on coefficients.

    The projection minimises $\int_0^1 |\theta(s) - \hat\theta(s)|^2 ds$. If the new basis spans the
    old functions, the function does not change, and the projection there and back is the identity.
    From `n` to `2n` cells, values are copied; from `2n` to `n`, pairs are averaged.

    Args:
        old: The basis of the given coefficients.
        new: The basis of the projected coefficients.
    """
    s, w = _quadrature(old, new)
    here, there = new(s, np), old(s, np)
    gram, mixed = (here * w) @ here.T, (here * w) @ there.T
    return np.linalg.solve(gram, mixed)


def fitted_matrix(new: Basis, points: Float[np.ndarray, " points"]) -> Float[np.ndarray, "new _"]:
    """Matrix of the least-squares fit, from values at points of the depth to coefficients.

    With as many functions as points, the fit interpolates.

    Args:
        new: The functions.
        points: Depths in [0, 1].
    """
    return np.linalg.pinv(new(points, np).T)


def mean_matrix(old: Basis, new: Basis) -> Float[np.ndarray, "new old"]:
    r"""Matrix from values in cells or at knots to new ones, by means: it preserves positivity.

    From knots to knots, the old function is evaluated at the new knots. Otherwise a new value is
    the mean of the old function, weighted by the new cell or hat function.

    Args:
        old: Cells or hat functions of the given values.
        new: Cells or hat functions of the new values.
    """
    if old.kind == new.kind == "piecewise_linear":
        knots = np.linspace(0, 1, new.size) if new.size > 1 else np.array([0.5])
        return old(knots, np).T
    s, w = _quadrature(old, new)
    mixed = (new(s, np) * w) @ old(s, np).T
    return mixed / mixed.sum(axis=1, keepdims=True)


def _quadrature(old: Basis, new: Basis) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of a quadrature on [0, 1], exact for products of both families."""
    breaks = np.unique(np.concatenate([old.breaks, new.breaks]))
    degree = 2 * max(old.size, new.size) + 8
    nodes, weights = np.polynomial.legendre.leggauss(degree)
    left, length = breaks[:-1, None], np.diff(breaks)[:, None]
    s = (left + length * (nodes[None] + 1) / 2).ravel()
    return s, (length * weights[None] / 2).ravel()
