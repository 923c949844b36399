from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numerics.cases import cases
from numerics.methods import (
    DIFFRAX_ORDERS,
    EXPLICIT,
    FIXED_STEP,
    IMPLICIT,
    IMPLICIT_ORDERS,
    fixed_diffrax,
)
from numerics.problems import (
    CONSTANT,
    EXPONENTIAL,
    GAMMA,
    GROWING,
    INERTIA,
    LINEAR,
    LOGISTIC,
    LOGISTIC_FROM_ABOVE,
    PARTITIONED,
    PROBLEMS,
    SECOND_ORDER,
    STIFF,
    TIME_DEPENDENT,
    WITH_MOMENTUM,
    split,
    together,
)

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.continuous.solvers import ExplicitName, ImplicitName, SymplecticName
from odenet.integrators.explicit import TABLEAUS
from odenet.integrators.momentum import Momentum
from odenet.integrators.reversible_rk import ReversibleRungeKutta
from odenet.integrators.separable import SeparableMethod
from odenet.integrators.symplectic import Leapfrog
from odenet.integrators.two_step import TwoStepMidpoint

HORIZON = 2.0
# The ranges are asymptotic: small enough for the leading error term, far above round-off.
STEPS = {1: (256, 512, 1024), 2: (256, 512, 1024), 3: (128, 256, 512), 4: (64, 128, 256)}
SMOOTH = (EXPONENTIAL, LINEAR, LOGISTIC, TIME_DEPENDENT, GROWING)
RANGES = {
    "diffrax_tsit5": ((160, 224, 288), (LINEAR, GROWING)),
    "diffrax_dopri5": ((96, 128, 160), (EXPONENTIAL, LINEAR, GROWING)),
    "diffrax_dopri8": ((16, 20, 24), (LOGISTIC_FROM_ABOVE, GROWING)),
}


def grids(spacing, steps):
    if spacing == "uniform":
        return [np.full(n, HORIZON / n) for n in steps]
    if spacing == "graded":
        # Every step of its own size.
        points = [np.linspace(0, 1, n + 1) for n in steps]
        return [np.diff(HORIZON * (s + 0.3 * np.sin(7 * s) * s * (1 - s))) for s in points]
    base = np.random.default_rng(3).uniform(0.8, 1.2, 4)
    base *= HORIZON / base.sum()
    return [np.repeat(base, n // 4) / (n // 4) for n in steps]


def errors(integrator, problems, taus_of):
    """Largest error of every problem on every grid; shorter grids end in steps of size zero."""
    problem = together(problems)
    fields = LayerFields.from_function(problem.field)
    longest = max(len(taus) for taus in taus_of)
    padded = np.stack([np.pad(taus, (0, longest - len(taus))) for taus in taus_of])

    @jax.jit
    def integrate(taus, h0):
        return jax.lax.map(lambda t: integrator.integrate(fields, DepthGrid(t), h0).h1, taus)

    ends = integrate(jnp.asarray(padded), jnp.asarray(problem.h0))
    return [
        [
            np.max(np.abs(reached - exact))
            for reached, exact in zip(
                split(problems, np.asarray(end)),
                split(problems, problem.flow(taus.sum())),
                strict=True,
            )
        ]
        for end, taus in zip(ends, taus_of, strict=True)
    ]


def slopes(integrator, problems, *families):
    """Observed order of every problem on every family of grids."""
    table = iter(errors(integrator, problems, [taus for family in families for taus in family]))
    for family in families:
        rows = np.log([next(table) for _ in family])
        steps = np.log([len(taus) for taus in family])
        for index, problem in enumerate(problems):
            yield problem.name, -np.polyfit(steps, rows[:, index], 1)[0]


def test_bank_covers_every_named_method():
    assert set(TABLEAUS) <= set(EXPLICIT)
    assert set(get_args(ExplicitName)) == {*DIFFRAX_ORDERS, "reversible_heun"}
    assert set(get_args(ImplicitName)) == set(IMPLICIT_ORDERS)
    assert set(get_args(SymplecticName)) == {"semi_implicit_euler"}


def test_flows_solve_their_problems():
    for problem in PROBLEMS:
        np.testing.assert_allclose(problem.flow(0.0), problem.h0, atol=1e-15)
        for t in (0.0, 0.4, 1.7):
            step = 1e-5
            derivative = (problem.flow(t + step) - problem.flow(t - step)) / (2 * step)
            field = problem.field(jnp.asarray(t), jnp.asarray(problem.flow(t)))
            np.testing.assert_allclose(derivative, field, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("name", cases(FIXED_STEP, {*EXPLICIT, "diffrax_bosh3", "diffrax_dopri8"}))
def test_observed_order_is_theoretical_for_uniform_and_random_steps(name):
    config, order = FIXED_STEP[name]
    steps, problems = RANGES.get(name) or (STEPS[order], SMOOTH)
    families = [grids("uniform", steps), grids("random", steps)]
    observed = list(slopes(config.build(), problems, *families))
    assert len(observed) == 2 * len(problems)
    for problem, slope in observed:
        assert slope == pytest.approx(order, abs=0.1), (problem, observed)


@pytest.mark.parametrize("name", cases(IMPLICIT, {"diffrax_implicit_euler", "diffrax_kvaerno5"}))
def test_observed_order_of_implicit_methods_is_theoretical(name):
    config, order = IMPLICIT[name]
    steps = {1: (256, 512), 3: (64, 128), 4: (96, 192), 5: (32, 64)}[order]
    problems = (EXPONENTIAL, LOGISTIC, GROWING)
    for problem, slope in slopes(config.build(), problems, grids("uniform", steps)):
        assert slope == pytest.approx(order, abs=0.1), problem


@pytest.mark.parametrize("name", EXPLICIT)
def test_observed_order_on_stiff_problem_is_theoretical(name):
    config, order = EXPLICIT[name]
    ((_, slope),) = slopes(config.build(), (STIFF,), grids("uniform", (768, 1024)))
    assert slope == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize(
    "name",
    cases(
        ["euler", "rk4", "kutta_3", "diffrax_tsit5", "diffrax_dopri8"],
        {"euler", "rk4", "kutta_3", "diffrax_dopri8"},
    ),
)
def test_constant_field_is_integrated_exactly(name):
    taus = np.random.default_rng(0).uniform(-0.2, 0.5, 7)
    assert errors(FIXED_STEP[name][0].build(), (CONSTANT,), [taus])[0][0] < 1e-14


@pytest.mark.parametrize("name", EXPLICIT)
def test_recorded_order_is_none_or_theoretical(name):
    integrator = EXPLICIT[name][0].build()
    assert integrator.tableau.order in (None, EXPLICIT[name][1])
    assert (integrator.tableau.order is None) == (name not in TABLEAUS)


INVERTIBLE = {
    "leapfrog": (Leapfrog(), 2, SECOND_ORDER),
    "leapfrog_kick_drift": (Leapfrog(form="kick_drift"), 1, SECOND_ORDER),
    "momentum": (Momentum(gamma=GAMMA), 1, WITH_MOMENTUM),
    "two_step_midpoint": (TwoStepMidpoint(), 2, SMOOTH),
    **{
        # Where steps are as long as 1 - coupling, the constant of the error changes with them.
        f"reversible_{name}": (
            ReversibleRungeKutta(tableau=tableau, coupling=0.5),
            tableau.order,
            SMOOTH,
        )
        for name, tableau in TABLEAUS.items()
    },
    **{
        f"{kind}_{problem.name}": (SeparableMethod(kind=kind), order, (problem,))
        for kind, order in (("symplectic_euler", 1), ("verlet", 2))
        for problem in PARTITIONED  # which are not put together: it would mix their partitions
    },
    **{
        f"diffrax_{problem.name}": (fixed_diffrax("semi_implicit_euler").build(), 1, (problem,))
        for problem in PARTITIONED
    },
}


MET_BEFORE = {
    "reversible_heun",
    "reversible_ralston",
    "symplectic_euler_quadratic",
    "verlet_rotating",
    "diffrax_rotating",
    "diffrax_swinging",
}
"""Without which every method and every problem is still met."""


@pytest.mark.parametrize("name", cases(INVERTIBLE, set(INVERTIBLE) - MET_BEFORE))
def test_observed_order_of_reversible_methods_is_theoretical_for_steps_of_any_sizes(name):
    integrator, order, problems = INVERTIBLE[name]
    families = [grids(spacing, STEPS[order]) for spacing in ("uniform", "random", "graded")]
    assert all(np.all(taus > 0) for family in families for taus in family)
    observed = list(slopes(integrator, problems, *families))
    assert len(observed) == 3 * len(problems)
    for problem, slope in observed:
        assert slope == pytest.approx(order, abs=0.1), (problem, observed)


@pytest.mark.parametrize("problem", [*PARTITIONED, *WITH_MOMENTUM], ids=lambda p: p.name)
def test_partitioned_flows_and_with_momentum_solve_their_problems(problem):
    np.testing.assert_allclose(problem.flow(0.0), problem.h0, atol=1e-15)
    step, has_velocity = 1e-4, problem in WITH_MOMENTUM
    for t in (0.0, 0.4, 1.7):
        ahead, here, behind = (problem.flow(t + s) for s in (step, 0.0, -step))
        left = (ahead - behind) / (2 * step)
        if has_velocity:
            left = left + INERTIA * (ahead - 2 * here + behind) / step**2
        field = problem.field(jnp.asarray(t), jnp.asarray(here))
        np.testing.assert_allclose(left, field, rtol=1e-5, atol=1e-6)
