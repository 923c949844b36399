"""Stability functions and factors of methods against theory and against the methods themselves."""

import cmath
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.precision import in_float64
from pydantic import TypeAdapter

from odenet.depth.grid import DepthGrid
from odenet.integrators import IntegratorConfig
from odenet.integrators.explicit import TABLEAUS
from odenet.integrators.stability_function import StabilityFunction
from odenet.models import DepthBlockConfig

CONFIG = TypeAdapter(IntegratorConfig)
EPS = float(np.finfo(np.float64).eps)
IMPLICIT_EULER = {"kind": "diffrax", "solver": "implicit_euler", "controller": {"kind": "constant"}}
SEMI_IMPLICIT_EULER = IMPLICIT_EULER | {"solver": "semi_implicit_euler"}
GRID = DepthGrid(jnp.full(3, 0.1))


def factor_of(options, z, tau=1.0):
    amplification = CONFIG.validate_python(options).build().amplification(GRID)
    z = np.atleast_1d(np.asarray(z, complex))
    return amplification.factors(np.full(z.shape, tau), z, np.full(z.shape, 2))


def table(methods, eigenvalues, whole):
    """All pairs; the first eigenvalue with every method, all of them with the method `whole`."""
    return [
        pytest.param(
            method,
            eigenvalue,
            marks=[pytest.mark.product] * (number > 0 and method != whole),
        )
        for number, eigenvalue in enumerate(eigenvalues)
        for method in methods
    ]


def limit_of(options, eigenvalue):
    """The longest stable step."""
    amplification = CONFIG.validate_python(options).build().amplification(GRID)
    one = np.ones(1)
    steps = np.full(1, 2)
    return amplification.critical_scales(one, np.asarray([eigenvalue], complex), steps, EPS)[0]


@pytest.mark.parametrize("name", TABLEAUS)
def test_polynomial_is_the_exponential_series_as_far_as_the_order_goes(name):
    tableau = TABLEAUS[name]
    function = StabilityFunction.of(tableau.a, tableau.b)
    series = [1.0, 1.0, 1 / 2, 1 / 6, 1 / 24][: tableau.order + 1]
    np.testing.assert_allclose(function.numerator[: len(series)], series, rtol=1e-14)
    assert all(abs(c) < 1e-14 for c in function.numerator[len(series) :])
    assert function.denominator == (1.0,)


def test_function_of_any_tableau_is_that_of_its_linear_equations(getkey):
    a = np.asarray(jax.random.normal(getkey(), (3, 3)))
    b = np.asarray(jax.random.normal(getkey(), (3,)))
    function = StabilityFunction.of(a.tolist(), b.tolist())
    for z in (0.3 + 0.2j, -1.5, 2j):
        stages = np.linalg.solve(np.eye(3) - z * a, np.ones(3))
        assert function(np.asarray([z]))[0] == pytest.approx(1 + z * (b @ stages), rel=1e-10)


SOLVERS = ["euler", "heun", "bosh3", "dopri5", "kvaerno3", "implicit_euler"]
EIGENVALUES = [0.4 + 1.1j, -0.7]
SHOWN = {("dopri5", EIGENVALUES[0]), *(("kvaerno3", one) for one in EIGENVALUES)}
"""An explicit solver and an implicit one."""


@pytest.mark.parametrize(
    ("solver", "eigenvalue"),
    [
        pytest.param(
            *pair, marks=[pytest.mark.product] * (pair not in SHOWN), id=f"{pair[0]}-{pair[1]}"
        )
        for pair in itertools.product(SOLVERS, EIGENVALUES)
    ],
)
def test_solvers_of_diffrax_multiply_by_their_functions(solver, eigenvalue):
    options = {"kind": "diffrax", "solver": solver, "controller": {"kind": "constant"}}
    assert factor_of(options, eigenvalue)[0] == pytest.approx(
        power_of_step(options, eigenvalue, 1.0), rel=1e-5
    )


def power_of_step(options, eigenvalue, tau):
    """What a block of one step makes of a vector that the field turns and stretches."""
    config = DepthBlockConfig.model_validate(
        {
            "num_steps": 1,
            "field": {"kind": "mlp", "activation": "identity"},
            "weights": {"kind": "shared"},
            "step_sizes": {"kind": "fixed", "tau": tau},
            "integrator": options,
        }
    )
    block = in_float64(config.build((2,), rngs=nnx.Rngs(0)))
    z = complex(eigenvalue)
    kernel = jnp.asarray([[z.real, z.imag], [-z.imag, z.real]])
    block.weights.stacked.affine[0].kernel[...] = kernel[None]
    return float(jnp.linalg.norm(block(jnp.asarray([[0.6, 0.8]])).h1))


@pytest.mark.parametrize(
    ("options", "eigenvalue", "limit"),
    [
        ({"kind": "euler"}, -1.0, 2.0),
        ({"kind": "euler"}, cmath.exp(0.75j * cmath.pi), 2 * np.cos(np.pi / 4)),
        ({"kind": "heun"}, -1.0, 2.0),
        ({"kind": "rk4"}, 1j, 2 * np.sqrt(2)),
        ({"kind": "rk4"}, -1.0, 2.785293563405282),
        ({"kind": "verlet"}, 1j, 2.0),
        ({"kind": "symplectic_euler"}, 1j, 2.0),
        (SEMI_IMPLICIT_EULER, 1j, 2.0),
        ({"kind": "two_step_midpoint"}, 1j, 1.0),
        ({"kind": "leapfrog"}, -1.0, 2.0),
        ({"kind": "leapfrog", "form": "kick_drift"}, -4.0, 1.0),
        ({"kind": "reversible_rk", "method": "euler", "coupling": 0.9}, -1.0, 0.1),
        ({"kind": "reversible_rk", "method": "euler", "coupling": 1.0}, 1j, 2.0),
        (IMPLICIT_EULER, 1j, np.inf),
        (IMPLICIT_EULER, 1.0, 0),
        ({"kind": "euler"}, 0.5 + 2j, 0),
    ],
)  # fmt: skip
def test_longest_stable_step_is_that_of_theory(options, eigenvalue, limit):
    assert limit_of(options, eigenvalue) == pytest.approx(limit, rel=1e-6, abs=1e-6)


SEVERAL_STATES = [
    {"kind": "leapfrog"},
    {"kind": "leapfrog", "form": "kick_drift"},
    {"kind": "momentum", "gamma": 0.6},
    {"kind": "two_step_midpoint"},
    {"kind": "asynchronous_leapfrog"},
    {"kind": "reversible_rk", "method": "midpoint", "coupling": 0.7},
]


@pytest.mark.parametrize(
    ("options", "eigenvalue"),
    table(SEVERAL_STATES, [0.3 + 0.4j, -0.9, 0.5], whole={"kind": "leapfrog"}),
    ids=str,
)
def test_factor_is_what_many_steps_multiply_by(options, eigenvalue):
    """The block itself takes 400 steps: their mean factor is that of the growing eigenvector."""
    tau, steps = 0.5, 400
    config = DepthBlockConfig.model_validate(
        {
            "num_steps": steps,
            "field": {"kind": "mlp", "activation": "identity"},
            "weights": {"kind": "shared"},
            "step_sizes": {"kind": "fixed", "tau": tau},
            "integrator": options,
        }
    )
    block = in_float64(config.build((2,), rngs=nnx.Rngs(0)))
    z = complex(eigenvalue)
    kernel = jnp.asarray([[z.real, z.imag], [-z.imag, z.real]])
    block.weights.stacked.affine[0].kernel[...] = kernel[None]
    path = block(jnp.asarray([[0.6, 0.8]]), save_path=True).path[:, 0]
    # Several steps are compared, since what turns passes near zero.
    early, late = (float(jnp.linalg.norm(path[k - 20 : k])) for k in (steps // 2, steps))
    amplification = block.integrator.amplification(block.grid())
    found = amplification.factors(np.full(1, tau), np.asarray([z]), np.full(1, 2))[0]
    assert (late / early) ** (2 / steps) == pytest.approx(found, rel=2e-3)


def test_methods_without_a_factor_say_why():
    for options, said in (
        ({"kind": "dopri5"}, "chosen by their error"),
        ({"kind": "diffrax"}, "chosen by their error"),
        ({"kind": "fractional"}, "depends on all earlier ones"),
    ):
        assert said in CONFIG.validate_python(options).build().amplification(GRID)
