"""Initial-value problems whose flows are known exactly, independent of the package."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import scipy.linalg


@dataclasses.dataclass(frozen=True)
class Problem:
    """dh/dt = field(t, h) from `h0` at time 0, with `flow(t)` the exact state at time `t`."""

    name: str
    field: Callable
    h0: np.ndarray
    flow: Callable[[float], np.ndarray]


A = np.array([[-0.6, 2.0, 0.3], [-2.0, -0.4, 0.5], [0.2, -0.5, -0.9]])
RATE = np.array([0.7, -1.3])
STIFFNESS = 20.0

CONSTANT = Problem(
    "constant",
    lambda t, h: jnp.full_like(h, 0.75),
    np.array([[0.3, -1.0]]),
    lambda t: np.array([[0.3, -1.0]]) + 0.75 * t,
)
EXPONENTIAL = Problem(
    "exponential",
    lambda t, h: h * RATE[None, :],
    np.array([[1.0, -0.5]]),
    lambda t: np.array([[1.0, -0.5]]) * np.exp(RATE * t),
)
LINEAR = Problem(
    "linear",
    lambda t, h: h @ A.T,
    np.array([[1.0, -0.5, 0.25]]),
    lambda t: np.array([[1.0, -0.5, 0.25]]) @ scipy.linalg.expm(A * t).T,
)
TIME_DEPENDENT = Problem(
    "time_dependent",
    lambda t, h: (1.5 * jnp.cos(2 * t) - 1) * h,
    np.array([[1.0, 2.0]]),
    lambda t: np.array([[1.0, 2.0]]) * np.exp(0.75 * np.sin(2 * t) - t),
)
GROWING = Problem(
    "growing",
    lambda t, h: (1 + t) * h,
    np.array([[1.0]]),
    lambda t: np.array([[np.exp(t + t**2 / 2)]]),
)
QUADRATURE = Problem(
    "quadrature",
    lambda t, h: jnp.full_like(h, 3 * jnp.cos(3 * t)),
    np.array([[0.5]]),
    lambda t: np.array([[0.5 + np.sin(3 * t)]]),
)
LOGISTIC = Problem(
    "logistic",
    lambda t, h: 2 * h * (1 - h),
    np.array([[0.1, 0.4]]),
    lambda t: 1 / (1 + (1 / np.array([[0.1, 0.4]]) - 1) * np.exp(-2 * t)),
)
LOGISTIC_FROM_ABOVE = Problem(
    "logistic_from_above",
    lambda t, h: 2 * h * (1 - h),
    np.array([[2.0]]),
    lambda t: 1 / (1 - 0.5 * np.exp(-2 * np.array([[t]]))),
)
STIFF = Problem(
    "stiff",
    lambda t, h: -STIFFNESS * (h - jnp.cos(t)) - jnp.sin(t),
    np.array([[0.0, 2.0]]),
    lambda t: np.cos(t) + np.array([[-1.0, 1.0]]) * np.exp(-STIFFNESS * t),
)

PROBLEMS = (
    CONSTANT,
    EXPONENTIAL,
    LINEAR,
    TIME_DEPENDENT,
    GROWING,
    QUADRATURE,
    LOGISTIC,
    LOGISTIC_FROM_ABOVE,
    STIFF,
)

FREQUENCY = np.array([1.0, 2.5])
STIFFNESS_MATRIX = np.array([[2.0, -0.7], [-0.7, 1.5]])

HARMONIC = Problem(
    "harmonic",
    lambda t, h: -h * (FREQUENCY**2)[None, :],
    np.array([[1.0, -0.5]]),
    lambda t: np.array([[1.0, -0.5]]) * np.cos(FREQUENCY * t),
)
REPELLING = Problem(
    "repelling",
    lambda t, h: 1.44 * h,
    np.array([[1.0, -0.5]]),
    lambda t: np.array([[1.0, -0.5]]) * np.cosh(1.2 * t),
)
COUPLED = Problem(
    "coupled",
    lambda t, h: -h @ STIFFNESS_MATRIX.T,
    np.array([[1.0, 0.25]]),
    lambda t: np.array([[1.0, 0.25]]) @ scipy.linalg.cosm(scipy.linalg.sqrtm(STIFFNESS_MATRIX) * t),
)
DRIVEN = Problem(
    "driven",
    lambda t, h: jnp.cos(2 * t) - h,
    np.array([[0.4]]),
    lambda t: np.array([[(0.4 + 1 / 3) * np.cos(t) - np.cos(2 * t) / 3]]),
)
# h = exp(-t^2 / 2) has h' = -t h and h'' = (t^2 - 1) h.
BELL = Problem(
    "bell",
    lambda t, h: (t**2 - 1) * h,
    np.array([[1.5]]),
    lambda t: 1.5 * np.exp(-(np.array([[t]]) ** 2) / 2),
)
# h = 1 / (1 - t^2 / 16) has h' = h^2 t / 8 and h'' = h^2 / 8 + h^3 t^2 / 32.
NONLINEAR = Problem(
    "nonlinear",
    lambda t, h: h**2 / 8 + h**3 * t**2 / 32,
    np.array([[1.0]]),
    lambda t: 1 / (1 - np.array([[t]]) ** 2 / 16),
)
SECOND_ORDER = (HARMONIC, REPELLING, COUPLED, DRIVEN, BELL, NONLINEAR)
"""Problems d2h/dt2 = field(t, h) that start at rest."""

PARTITIONED = (
    Problem(
        "rotating",
        lambda t, h: jnp.stack([2.0 * h[:, 1], -1.5 * h[:, 0]], axis=1),
        np.array([[1.0, -0.5]]),
        lambda t: np.array([[1.0, -0.5]]) @ scipy.linalg.expm(t * np.array([[0, 2], [-1.5, 0]])).T,
    ),
    # A rotation by the angle sin t.
    Problem(
        "swinging",
        lambda t, h: jnp.cos(t) * jnp.stack([h[:, 1], -h[:, 0]], axis=1),
        np.array([[1.0, 0.25]]),
        lambda t: np.array(
            [
                [
                    np.cos(np.sin(t)) + 0.25 * np.sin(np.sin(t)),
                    0.25 * np.cos(np.sin(t)) - np.sin(np.sin(t)),
                ]
            ]
        ),
    ),
    # y = 1 / (1 + t), z = 2 / (1 + t).
    Problem(
        "quadratic",
        lambda t, h: jnp.stack([-(h[:, 1] ** 2) / 4, -2 * h[:, 0] ** 2], axis=1),
        np.array([[1.0, 2.0]]),
        lambda t: np.array([[1.0, 2.0]]) / (1 + t),
    ),
)
"""Partitioned problems (q, p)."""

GAMMA = 0.6
INERTIA = -1 / np.log(GAMMA)
_WITH_VELOCITY = np.block(
    [[np.zeros((2, 2)), np.eye(2)], [-STIFFNESS_MATRIX / INERTIA, -np.eye(2) / INERTIA]]
)
WITH_MOMENTUM = (
    Problem(
        "coupled_with_momentum",
        lambda t, h: -h @ STIFFNESS_MATRIX.T,
        np.array([[1.0, 0.25]]),
        lambda t: (scipy.linalg.expm(_WITH_VELOCITY * t) @ np.array([1.0, 0.25, 0, 0]))[None, :2],
    ),
    # h = cos t.
    Problem(
        "driven_with_momentum",
        lambda t, h: -INERTIA * h - jnp.sin(t),
        np.array([[1.0]]),
        lambda t: np.array([[np.cos(t)]]),
    ),
    Problem(
        "nonlinear_with_momentum",
        lambda t, h: INERTIA * NONLINEAR.field(t, h) + h**2 * t / 8,
        NONLINEAR.h0,
        NONLINEAR.flow,
    ),
)
"""Problems dh/dt = v, INERTIA dv/dt = field(t, h) - v that start at rest."""


def together(problems: tuple[Problem, ...]) -> Problem:
    """One problem made of several that do not see each other, so that they compile once."""
    widths = [problem.h0.shape[1] for problem in problems]
    ends = np.cumsum(widths)[:-1]

    def field(t, h):
        parts = jnp.split(h, ends, axis=1)
        return jnp.concatenate(
            [problem.field(t, part) for problem, part in zip(problems, parts, strict=True)], axis=1
        )

    def flow(t):
        return np.concatenate([problem.flow(t) for problem in problems], axis=1)

    return Problem("together", field, np.concatenate([p.h0 for p in problems], axis=1), flow)


def split(problems: tuple[Problem, ...], h: np.ndarray) -> list[np.ndarray]:
    """The states of the single problems in the state of all `together`."""
    return np.split(h, np.cumsum([problem.h0.shape[1] for problem in problems])[:-1], axis=1)
