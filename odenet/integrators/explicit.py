"""Explicit Runge-Kutta methods with fixed steps: explicit Euler and every explicit tableau."""

import dataclasses
import functools
import operator
from typing import ClassVar, Literal, get_args

from pydantic import model_validator

from odenet.arrays import State, Time
from odenet.depth.grid import DepthGrid
from odenet.integrators.amplification import Amplification, RungeKuttaAmplification
from odenet.integrators.base import Advance, Field, SolverStats
from odenet.integrators.config import IntegratorConfig
from odenet.integrators.continuous.config import DiffraxConfig
from odenet.integrators.continuous.solvers import ExplicitName as SolverOfDiffrax
from odenet.integrators.gradient_methods import BACKSOLVE, by_remat
from odenet.integrators.one_step import OneStepIntegrator
from odenet.integrators.remat import Remat
from odenet.integrators.stability_function import StabilityFunction


@dataclasses.dataclass(frozen=True)
class Tableau:
    """An explicit Butcher tableau (Hairer, Nørsett and Wanner 1993, sec. II.1).

    Args:
        a: Row `i` holds the `i` weights of stage `i`; the first row is empty.
        b: Weights of the stages in the step, summing to 1.
        c: Times of the stages, each the sum of its row of `a`.
        order: Order of convergence, or None if it is not known.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    order: int | None = None

    @property
    def num_stages(self) -> int:
        """Number of field evaluations per step."""
        return len(self.b)


def _tableau(a, b, order=None) -> Tableau:
    return Tableau(a, b, tuple(float(sum(row)) for row in a), order)


ExplicitName = Literal["euler", "midpoint", "heun", "ralston", "rk4"]

TABLEAUS: dict[str, Tableau] = {
    "euler": _tableau(((),), (1.0,), 1),
    "midpoint": _tableau(((), (1 / 2,)), (0.0, 1.0), 2),
    "heun": _tableau(((), (1.0,)), (1 / 2, 1 / 2), 2),
    "ralston": _tableau(((), (2 / 3,)), (1 / 4, 3 / 4), 2),
    "rk4": _tableau(((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6), 4),
}
"""The named methods, each with its order as the last entry of its row."""


@dataclasses.dataclass(frozen=True)
class ExplicitRungeKutta(OneStepIntegrator):
    r"""An explicit Runge-Kutta method, one step for every `tau` of the grid.

    $h_1 = h_0 + \tau \sum_i b_i k_i$ with
    $k_i = f(t_0 + c_i \tau,\ h_0 + \tau \sum_{j<i} a_{ij} k_j)$. With one stage this is explicit
    Euler, $h_0 + \tau f(t_0, h_0)$; with $\tau = 1$, a residual layer (He et al. 2015,
    arXiv:1512.03385, eq. 1).

    Args:
        tableau: The method's coefficients.
        remat: Storage for the backward pass: everything, one state per step, or one state
            per segment of about `sqrt(num_steps)` steps; the rest is recomputed.
    """

    carries_statistics: ClassVar[bool] = True
    carries_integrals: ClassVar[bool] = True

    tableau: Tableau
    remat: Remat = "none"

    @property
    def name(self) -> str:
        """The kind in experiment files with these coefficients."""
        names = (name for name, tableau in TABLEAUS.items() if tableau == self.tableau)
        return next(names, "tableau")

    @property
    def evaluates_at_start(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether it is explicit Euler, with one stage."""
        return self.tableau.num_stages == 1

    def amplification(self, grid: DepthGrid) -> Amplification:
        """The stability function of the tableau."""
        del grid
        return RungeKuttaAmplification(StabilityFunction.of(self.tableau.a, self.tableau.b))

    def advance(self, field: Field, t0: Time, tau: Time, h0: State) -> Advance:
        """Advance `h0` from depth-time `t0` to `t0 + tau` by one step.

        Returns:
            `Advance` with `nfe` equal to the number of stages; it always succeeds.
        """
        stages = stage_derivatives(self.tableau, field, t0, tau, h0)
        h1 = combine(h0, tau, self.tableau.b, stages)
        return Advance(h1, SolverStats.of(self.tableau.num_stages, 1))


def stage_derivatives(
    tableau: Tableau, field: Field, t0: Time, tau: Time, h0: State
) -> list[State]:
    """The derivative of every stage of a step, in the order of their evaluation."""
    derivatives: list[State] = []
    for row, c in zip(tableau.a, tableau.c, strict=True):
        h = combine(h0, tau, row, derivatives)
        derivatives.append(field(t0 + tau * c, h))
    return derivatives


def mean_derivative(tableau: Tableau, field: Field, t0: Time, tau: Time, h0: State) -> State:
    """The mean derivative of a step: its increment of the state divided by its length."""
    derivatives = stage_derivatives(tableau, field, t0, tau, h0)
    terms = [b * derivative for b, derivative in zip(tableau.b, derivatives, strict=True) if b]
    return functools.reduce(operator.add, terms)


def combine(h0: State, tau: Time, weights: tuple[float, ...], stages: list[State]) -> State:
    """`h0 + tau * sum(weights * stages)`, without the terms of weight zero.

    The increment is summed first and added once: it may be far smaller than the state, and every
    addition to the state is rounded to the state's last place.
    """
    terms = [(weight, k) for weight, k in zip(weights, stages, strict=True) if weight]
    if not terms:
        return h0
    if len(terms) == 1:
        ((weight, k),) = terms
        return h0 + (tau if weight == 1 else tau * weight) * k
    return h0 + tau * functools.reduce(operator.add, [weight * k for weight, k in terms])


class ExplicitConfig(IntegratorConfig):
    """A named explicit Runge-Kutta method with the fixed steps of the grid."""

    kind: ExplicitName = "euler"
    remat: Remat = "none"
    """Storage for the backward pass: `none` keeps everything, `step` one state per step (layer of
    a residual network), `sqrt` about `2 sqrt(num_steps)` steps; the rest is recomputed."""

    def build(self) -> ExplicitRungeKutta:
        """Make the integrator."""
        return ExplicitRungeKutta(TABLEAUS[self.kind], self.remat)

    @property
    def layer_remat(self) -> Remat | None:
        """The option `remat` of explicit Euler."""
        return self.remat if self.kind == "euler" else None

    def gradient_methods(self, *, is_step: bool, learns_steps: bool) -> dict[str, IntegratorConfig]:
        """Every value of `remat`, and the adjoint equation by diffrax's method of that name."""
        del learns_steps
        methods: dict[str, IntegratorConfig] = by_remat(self, get_args(Remat))
        if is_step and self.kind in get_args(SolverOfDiffrax):
            fixed = {"solver": self.kind, "controller": {"kind": "constant"}}
            methods[BACKSOLVE] = DiffraxConfig.model_validate(fixed | {"adjoint": "backsolve"})
        return methods


class TableauConfig(IntegratorConfig):
    """An explicit Runge-Kutta method given by its coefficients."""

    kind: Literal["tableau"] = "tableau"
    a: tuple[tuple[float, ...], ...]
    """Weights of the stages: row `i` holds `i` numbers, the first row is empty."""
    b: tuple[float, ...]
    """Weights of the step, one per stage, summing to 1."""
    remat: Remat = "none"
    """Storage for the backward pass: `none` keeps everything, `step` one state per step (layer of
    a residual network), `sqrt` about `2 sqrt(num_steps)` steps; the rest is recomputed."""

    @model_validator(mode="after")
    def _explicit_and_consistent(self):
        if [len(row) for row in self.a] != list(range(len(self.b))):
            raise ValueError(
                f"an explicit tableau of {len(self.b)} stages has rows of 0, 1, ... "
                f"{len(self.b) - 1} numbers in a; got {[len(row) for row in self.a]}"
            )
        if abs(sum(self.b) - 1) > 1e-12:
            raise ValueError(
                f"the weights b must sum to 1, or the method does not converge; got {sum(self.b)}"
            )
        return self

    def build(self) -> ExplicitRungeKutta:
        """Make the integrator."""
        return ExplicitRungeKutta(_tableau(self.a, self.b), self.remat)

    def gradient_methods(self, *, is_step: bool, learns_steps: bool) -> dict[str, IntegratorConfig]:
        """Every value of `remat`."""
        del is_step, learns_steps
        return by_remat(self, get_args(Remat))
