"""Functions of the depth, `s` in [0, 1], that weights are combinations of."""

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
    * `piecewise_linear`: hats over `size` knots $k / (\text{size} - 1)$, which sum to 1;
    * `legendre`: $P_k(x)$; `chebyshev`: $T_k(x)$, by their three-term recurrences;
    * `fourier`: $1, \cos 2\pi s, \sin 2\pi s, \cos 4\pi s, \ldots$, equal at both ends.

    As weights of neural ODEs: Massaroli et al. 2020, arXiv:2002.08071, sec. 3; as compressed
    residual networks: Queiruga et al. 2021, arXiv:2106.10820.

    Args:
        kind: Name of the family.
        size: Number of functions, at least 1; of hats, at least 2.
    """

    kind: BasisName
    size: int

    def __call__(self, s: Any, xp: ModuleType = jnp) -> Any:
        """The values at `s`, shape `(size, *s.shape)`.

        Args:
            s: Depths in [0, 1], of any shape.
            xp: `jax.numpy`, or `numpy` for numbers that are constants of a program.
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
        """Where the functions are not smooth, with both ends."""
        pieces = {"piecewise_constant": self.size, "piecewise_linear": self.size - 1}
        return np.linspace(0, 1, pieces.get(self.kind, 1) + 1)


def projection_matrix(old: Basis, new: Basis) -> Float[np.ndarray, "new old"]:
    r"""From coefficients in one basis to those of the nearest function in another.

    Nearest in $\int_0^1 |\theta(s) - \hat\theta(s)|^2 ds$; where the new functions can express the
    old ones, the function stays the same, so that the way there and back is the identity. From
    `n` to `2n` cells the values are copied, and from `2n` to `n` they are averaged in pairs.

    Args:
        old: The basis of the given coefficients.
        new: That of the wanted ones.
    """
    s, w = _quadrature(old, new)
    here, there = new(s, np), old(s, np)
    gram, mixed = (here * w) @ here.T, (here * w) @ there.T
    return np.linalg.solve(gram, mixed)


def fitted_matrix(new: Basis, points: Float[np.ndarray, " points"]) -> Float[np.ndarray, "new _"]:
    """From values at points of the depth to the coefficients that fit them best, in least squares.

    As many functions as points keep every value.

    Args:
        new: The functions.
        points: Depths in [0, 1].
    """
    return np.linalg.pinv(new(points, np).T)


def mean_matrix(old: Basis, new: Basis) -> Float[np.ndarray, "new old"]:
    r"""From values in cells or at knots to others, by means alone: what is positive stays so.

    From knots to knots, the new values are those of the old function there. Else a new value is the
    mean of the old function, weighted by its own cell or hat.

    Args:
        old: Cells or hats of the given values.
        new: Cells or hats of the wanted ones.
    """
    if old.kind == new.kind == "piecewise_linear":
        knots = np.linspace(0, 1, new.size) if new.size > 1 else np.array([0.5])
        return old(knots, np).T
    s, w = _quadrature(old, new)
    mixed = (new(s, np) * w) @ old(s, np).T
    return mixed / mixed.sum(axis=1, keepdims=True)


def _quadrature(old: Basis, new: Basis) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights that integrate products of both families over [0, 1] exactly."""
    breaks = np.unique(np.concatenate([old.breaks, new.breaks]))
    degree = 2 * max(old.size, new.size) + 8
    nodes, weights = np.polynomial.legendre.leggauss(degree)
    left, length = breaks[:-1, None], np.diff(breaks)[:, None]
    s = (left + length * (nodes[None] + 1) / 2).ravel()
    return s, (length * weights[None] / 2).ravel()
