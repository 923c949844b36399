r"""The stability function of a Runge-Kutta method: the effect of one step on $h' = \lambda h$.

$h_1 = R(z) h_0$ with $z = \tau\lambda$ and $R(z) = 1 + z\, b^T (I - zA)^{-1} \mathbb{1}$; the
method is stable where $|R(z)| \le 1$ (Hairer and Wanner 1996, sec. IV.2 and IV.3).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class StabilityFunction:
    """$R = P / Q$.

    Args:
        numerator: Coefficients of $P$, the constant first.
        denominator: Coefficients of $Q$, the constant first; 1 alone for an explicit method.
    """

    numerator: tuple[float, ...]
    denominator: tuple[float, ...]

    @staticmethod
    def of(a: Sequence[Sequence[float]], b: Sequence[float]) -> "StabilityFunction":
        r"""The stability function of a tableau.

        For an explicit method, $P$ has the coefficients $b^T A^{k-1} \mathbb{1}$; for any method,
        $P = \det(I - zA + z \mathbb{1} b^T)$ and $Q = \det(I - zA)$.

        Args:
            a: Row `i` holds the weights of stage `i`; trailing zeros may be omitted.
            b: Weights of the step.
        """
        stages = len(b)
        matrix, weights = np.zeros((stages, stages)), np.asarray(b, np.float64)
        for row, values in zip(matrix, a, strict=True):
            row[: len(values)] = values
        if not np.triu(matrix).any():
            terms, vector = [1.0], np.ones(stages)
            for _ in range(stages):
                terms.append(float(weights @ vector))
                vector = matrix @ vector
            return StabilityFunction(tuple(terms), (1.0,))
        # np.poly gives det(x I - M) with the highest power first: det(I - z M) from its constant.
        top = np.poly(matrix - np.outer(np.ones(stages), weights)).real
        return StabilityFunction(tuple(top), tuple(np.poly(matrix).real))

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """R at complex numbers of any shape."""
        z = np.asarray(z, np.complex128)
        return np.polyval(self.numerator[::-1], z) / np.polyval(self.denominator[::-1], z)
