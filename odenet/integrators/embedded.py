"""Embedded Runge-Kutta tableaus: a method, its error estimate, and its dense output."""

import dataclasses

from odenet.integrators.explicit import Tableau


@dataclasses.dataclass(frozen=True)
class EmbeddedTableau:
    """An explicit FSAL method (first same as last) with its error estimate.

    Args:
        tableau: The method; its last stage is evaluated at the end of the step.
        error: Weights of the stages in the error estimate, summing to 0.
        dense: Weights of the stages in the last term of the dense output, summing to 0; zeros for
            the cubic through the states and derivatives at both ends.
    """

    tableau: Tableau
    error: tuple[float, ...]
    dense: tuple[float, ...]


def _embedded(
    a: tuple[tuple[float, ...], ...],
    error: tuple[float, ...],
    dense: tuple[float, ...],
    order: int,
) -> EmbeddedTableau:
    times = tuple(float(sum(row)) for row in a)
    return EmbeddedTableau(Tableau(a, (*a[-1], 0.0), times, order), error, dense)


EMBEDDED: dict[str, EmbeddedTableau] = {
    # Bogacki and Shampine 1989, order 3 with an estimate of order 2.
    "bosh3": _embedded(
        ((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
        (2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
        (0.0, 0.0, 0.0, 0.0),
        3,
    ),
    # Dormand and Prince 1980 with the estimate of Shampine 1986, two thirds of theirs; dense output
    # of order 4 by Hairer, Nørsett and Wanner 1993, sec. II.6.
    "dopri5": _embedded(
        (
            (),
            (1 / 5,),
            (3 / 40, 9 / 40),
            (44 / 45, -56 / 15, 32 / 9),
            (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
            (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
            (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
        ),
        (
            35 / 384 - 1951 / 21600,
            0.0,
            500 / 1113 - 22642 / 50085,
            125 / 192 - 451 / 720,
            -2187 / 6784 + 12231 / 42400,
            11 / 84 - 649 / 6300,
            -1 / 60,
        ),
        (
            -12715105075 / 11282082432,
            0.0,
            87487479700 / 32700410799,
            -10690763975 / 1880347072,
            701980252875 / 199316789632,
            -1453857185 / 822651844,
            69997945 / 29380423,
        ),
        5,
    ),
}
