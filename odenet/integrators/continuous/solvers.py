"""The solvers of diffrax by name."""

from typing import ClassVar, Literal, get_args

import diffrax
import numpy as np
from pydantic import PositiveFloat, PositiveInt

from odenet.errors import ConfigError
from odenet.integrators.continuous.chord import ChordMethod
from odenet.integrators.continuous.first_stage import FirstStageAtStart
from odenet.integrators.continuous.implicit import ImplicitSteps
from odenet.part import PartConfig

ExplicitName = Literal[
    "euler", "midpoint", "heun", "ralston", "bosh3", "tsit5", "dopri5", "dopri8", "reversible_heun"
]
ImplicitName = Literal["implicit_euler", "kvaerno3", "kvaerno4", "kvaerno5"]
SymplecticName = Literal["semi_implicit_euler"]
SolverName = ExplicitName | ImplicitName | SymplecticName
"""Solvers of diffrax for `h' = f(t, h)`. `kencarp` and `sil3` need a field that is the sum of a
stiff part and another one. `leapfrog_midpoint` can neither choose its steps nor restart in every
layer; integrator.kind=two_step_midpoint is that method over a whole block."""

IMPLICIT: frozenset[str] = frozenset(get_args(ImplicitName))
SYMPLECTIC: frozenset[str] = frozenset(get_args(SymplecticName))
NO_ERROR_ESTIMATE: frozenset[str] = frozenset({"euler"}) | SYMPLECTIC
WITH_MEMORY: frozenset[str] = frozenset({"reversible_heun"})

LARGEST_EQUATION = 4096
"""Largest state of a whole batch for implicit steps: their matrix has the square of its size."""


class _Bosh3(FirstStageAtStart, diffrax.Bosh3): ...


class _Tsit5(FirstStageAtStart, diffrax.Tsit5): ...


class _Dopri5(FirstStageAtStart, diffrax.Dopri5): ...


class _Dopri8(FirstStageAtStart, diffrax.Dopri8): ...


class _Kvaerno3(ImplicitSteps, diffrax.Kvaerno3): ...


class _Kvaerno4(ImplicitSteps, diffrax.Kvaerno4): ...


class _Kvaerno5(ImplicitSteps, diffrax.Kvaerno5): ...


class _ImplicitEuler(ImplicitSteps, diffrax.ImplicitEuler):
    """Implicit Euler with the trapezoidal rule as error estimate."""

    tableau: ClassVar[diffrax.ButcherTableau] = diffrax.ButcherTableau(
        a_lower=(np.zeros(1),),
        a_diagonal=np.array([0.0, 1.0]),
        a_predictor=(np.ones(1),),
        b_sol=np.array([0.0, 1.0]),
        b_error=np.array([-0.5, 0.5]),
        c=np.ones(1),
    )
    dense_output_of_stages = False


_WITHOUT_EQUATIONS: dict[str, type[diffrax.AbstractSolver]] = {
    "euler": diffrax.Euler,
    "midpoint": diffrax.Midpoint,
    "heun": diffrax.Heun,
    "ralston": diffrax.Ralston,
    "bosh3": _Bosh3,
    "tsit5": _Tsit5,
    "dopri5": _Dopri5,
    "dopri8": _Dopri8,
    "reversible_heun": diffrax.ReversibleHeun,
    "semi_implicit_euler": diffrax.SemiImplicitEuler,
}
_IMPLICIT: dict[str, type[diffrax.AbstractImplicitSolver]] = {
    "implicit_euler": _ImplicitEuler,
    "kvaerno3": _Kvaerno3,
    "kvaerno4": _Kvaerno4,
    "kvaerno5": _Kvaerno5,
}


class RootFinderConfig(PartConfig):
    """Root finder of an implicit solver: the chord method, Newton's method with one matrix.

    The matrix is the derivative of the field with respect to the state of the whole batch.
    """

    rtol: PositiveFloat | None = None
    """Relative tolerance of a solution, in units of the state; without it, the controller's, or
    1e-6 with fixed steps. Rounding errors of the state's precision bound it from below."""
    atol: PositiveFloat | None = None
    """Absolute tolerance of a solution, in units of the state; without it, the controller's, or
    1e-6 with fixed steps."""
    max_iterations: PositiveInt = 10
    """Largest number of iterations for one equation. If it is not enough, adaptive steps are
    shortened; with fixed steps the solve has failed."""


def build_solver(
    name: SolverName,
    root_finder: RootFinderConfig | None,
    rtol: float | None,
    atol: float | None,
    *,
    differentiated_again: bool = False,
) -> diffrax.AbstractSolver:
    """Make a solver.

    Args:
        name: Name of the solver.
        root_finder: Root finder of implicit solvers, or None for the default.
        rtol: Relative tolerance of the step-size controller, or None with fixed steps.
        atol: Absolute tolerance of the controller, or None.
        differentiated_again: Whether second derivatives are needed.
    """
    if name in _WITHOUT_EQUATIONS:
        assert root_finder is None
        return _WITHOUT_EQUATIONS[name]()
    chosen = root_finder or RootFinderConfig()
    tolerances = (chosen.rtol or rtol or 1e-6, chosen.atol or atol or 1e-6)
    # With one matrix for all stages of a step, ordinary fixed steps diverge: one matrix per stage.
    finder = ChordMethod(
        *tolerances, chosen.max_iterations, differentiated_again=differentiated_again
    )
    return _IMPLICIT[name](root_finder=finder)  # pyright: ignore[reportCallIssue]


def name_of(solver: diffrax.AbstractSolver) -> str:
    """The name by which `build_solver` makes a solver, or that of its class."""
    known = _WITHOUT_EQUATIONS | _IMPLICIT
    names = (name for name, made in known.items() if type(solver) is made)
    return next(names, type(solver).__name__)


def evaluations(solver: diffrax.AbstractSolver) -> tuple[int, int]:
    """Field evaluations of a solver: of every step, and before the first one.

    An implicit stage counts as one. The number of field evaluations of its equation is not known
    before it is solved: one for the matrix in the forward pass, one per number of the state in the
    backward pass, and one per iteration.
    """
    if isinstance(solver, diffrax.ReversibleHeun):
        return 1, 1
    tableau = getattr(solver, "tableau", None)
    stages, fsal = (1, 0) if tableau is None else (tableau.num_stages, int(tableau.fsal))
    return stages - fsal, fsal


Coefficients = tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]
"""Rows `a` of a tableau, up to its diagonal, and weights `b`."""


def coefficients(solver: diffrax.AbstractSolver) -> Coefficients | None:
    """A solver as a Runge-Kutta method, or None if it is not one."""
    if isinstance(solver, diffrax.Euler):
        return ((0.0,),), (1.0,)
    if isinstance(solver, diffrax.ImplicitEuler):
        return ((1.0,),), (1.0,)
    if not isinstance(solver, diffrax.AbstractRungeKutta):
        return None
    tableau = solver.tableau
    assert isinstance(tableau, diffrax.ButcherTableau)
    diagonal = [0.0] * tableau.num_stages if tableau.a_diagonal is None else tableau.a_diagonal
    rows = [(), *tableau.a_lower]
    a = tuple((*map(float, row), float(d)) for row, d in zip(rows, diagonal, strict=True))
    return a, tuple(map(float, tableau.b_sol))


def refuse_large_equation(solver: diffrax.AbstractSolver, shape: tuple[int, ...]) -> None:
    """Refuse an implicit step whose matrix would not fit into memory.

    Args:
        solver: The solver; explicit ones take states of any size.
        shape: Shape of the state of the whole batch.

    Raises:
        ConfigError: naming the size and the alternatives.
    """
    size = 1
    for length in shape:
        size *= length
    if isinstance(solver, diffrax.AbstractImplicitSolver) and size > LARGEST_EQUATION:
        raise ConfigError(
            f"an implicit solver takes states of at most {LARGEST_EQUATION} numbers over the whole "
            f"batch, since it solves equations with the square of them; got {size}, shape {shape}; "
            f"use an explicit solver, a smaller batch or a narrower state"
        )
