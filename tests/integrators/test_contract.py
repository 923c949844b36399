"""What an integrator declares: read alike from config and object, and used for one from outside."""

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.depth.grid import DepthGrid
from odenet.integrators import (
    AdaptiveConfig,
    DiffraxConfig,
    ExplicitConfig,
    FractionalConfig,
    Integration,
    Integrator,
    LeapfrogConfig,
    MomentumConfig,
    OneStepIntegrator,
    ReversibleRungeKuttaConfig,
    SeparableConfig,
    SolverStats,
    TwoStepMidpointConfig,
)
from odenet.integrators.amplification import RungeKuttaAmplification
from odenet.integrators.base import Advance
from odenet.integrators.config import IntegratorConfig
from odenet.integrators.gradient_methods import EXACT
from odenet.integrators.stability_function import StabilityFunction
from odenet.part.family import restored

GRID = DepthGrid(jnp.full(3, 0.1))
FIXED = {"controller": {"kind": "constant"}}
TIGHT = {"controller": {"kind": "pid", "rtol": 1e-9, "atol": 1e-9}}
"""Steps that are chosen change with the state; the difference that makes is of their error."""
CONFIGS = {
    "euler": ExplicitConfig(),
    "dopri5": AdaptiveConfig(),
    "verlet": SeparableConfig(kind="verlet"),
    "leapfrog": LeapfrogConfig(),
    "momentum": MomentumConfig(gamma=0.5),
    "two_step_midpoint": TwoStepMidpointConfig(),
    "reversible_rk": ReversibleRungeKuttaConfig(),
    "fractional": FractionalConfig(gamma=0.3),
    "diffrax": DiffraxConfig(),
    "semi_implicit_euler": DiffraxConfig.model_validate(FIXED | {"solver": "semi_implicit_euler"}),
    "fixed_tsit5": DiffraxConfig.model_validate(FIXED),
}
DECLARED = (
    "equation",
    "chooses_steps",
    "needs_positive_steps",
    "carries_statistics",
    "carries_integrals",
    "is_partitioned",
)
TRUE = {
    "chooses_steps": {"dopri5", "diffrax"},
    "needs_positive_steps": {"fractional"},
    "carries_statistics": {"euler"},
    "carries_integrals": {"euler", "dopri5", "diffrax", "fixed_tsit5"},
    "is_partitioned": {"verlet", "semi_implicit_euler"},
    "zero_step_is_identity": set(CONFIGS) - {"two_step_midpoint", "reversible_rk", "fractional"},
    "evaluates_at_start": {"euler"},
}


@dataclasses.dataclass(frozen=True)
class ExponentialEuler(OneStepIntegrator):
    """Exact for `h' = -h + g(t, h)` with a constant g; nothing else is declared."""

    def advance(self, field, t0, tau, h0):
        g = field(t0, h0) + h0
        return Advance(jnp.exp(-tau) * h0 - jnp.expm1(-tau) * g, SolverStats.of(1, 1))


with restored():  # other tests look at all kinds

    class ExponentialEulerConfig(IntegratorConfig):
        kind: Literal["exponential_euler"] = "exponential_euler"

        def build(self) -> ExponentialEuler:
            return ExponentialEuler()


@dataclasses.dataclass(frozen=True)
class Remembering(Integrator):
    """One that has memory, and says so by what it leaves out."""

    carries_statistics: ClassVar[bool] = True

    def over_grid(self, fields, grid, h0, *, save_path=False):
        return Integration(h0, None, SolverStats.of(0, 0))


@pytest.mark.parametrize("name", CONFIGS)
def test_config_says_what_its_integrator_says(name):
    config = CONFIGS[name]
    for member in DECLARED:
        assert getattr(config, member) == getattr(config.build(), member), member


def test_name_is_the_kind_in_experiment_files():
    for config in CONFIGS.values():
        integrator = config.build()
        assert integrator.choice.startswith(f"kind={config.kind}")
        if config.kind != "diffrax":
            assert integrator.name == config.kind
    assert CONFIGS["fixed_tsit5"].build().name == "diffrax tsit5"


@pytest.mark.parametrize("member", TRUE)
def test_methods_declare_what_the_literature_says_of_them(member):
    found = {name for name, config in CONFIGS.items() if getattr(config.build(), member)}
    assert found == TRUE[member]


def test_one_step_method_from_outside_has_its_factor_without_saying_it():
    amplification = ExponentialEulerConfig().build().amplification(GRID)
    taus, eigenvalues = np.asarray([0.4, 1.5, 2.0]), np.asarray([-0.7, 0.3 + 2j, -1 - 1j])
    expected = np.abs(np.exp(-taus) - np.expm1(-taus) * (eigenvalues + 1))
    found = amplification.factors(taus, eigenvalues, np.zeros(3, int))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    config = ExponentialEulerConfig()
    assert not config.carries_statistics
    assert config.gradient_methods(is_step=True, learns_steps=True) == {EXACT: config}


def test_factor_of_a_map_is_the_stability_function(getkey):
    by_function = ExplicitConfig(kind="rk4").build()
    by_map = super(type(by_function), by_function).amplification(GRID)
    taus = np.asarray(jax.random.uniform(getkey(), (5,)))
    values = 3 * np.asarray(jax.random.normal(getkey(), (5,), complex))
    expected = by_function.amplification(GRID).factors(taus, values, np.zeros(5, int))
    found = by_map.factors(taus, values, np.zeros(5, int))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_method_from_outside_may_say_its_factor():
    class Stated(Remembering):
        def amplification(self, grid):
            return RungeKuttaAmplification(StabilityFunction((1.0, 1.0), (1.0,)))

    assert "more than the state" in Remembering().amplification(GRID)
    found = Stated().amplification(GRID).factors(np.ones(1), np.asarray([-3.0]), np.zeros(1, int))
    assert found == pytest.approx(2)


@pytest.mark.parametrize(
    "options",
    [
        TIGHT | {"adjoint": "backsolve"},
        FIXED | {"adjoint": "backsolve"},
        pytest.param(FIXED, marks=pytest.mark.product),
    ],
    ids=str,
)
def test_map_of_a_step_has_the_derivative_of_the_step(options):
    config = DiffraxConfig.model_validate(options)
    step = config.build().step_map()

    def end(h):
        field = jax.tree_util.Partial(lambda t, h: jnp.sin(3 * h) - h)
        return step(field, jnp.zeros(()), jnp.ones(()), h[None])[0, 0]

    @jax.jit
    def derivatives(h):
        value, slope = jax.value_and_grad(end)(h)
        forward = None if config.chooses_steps else jax.jvp(end, (h,), (jnp.ones(1),))[1]
        return value, slope[0], forward

    h, ds = jnp.asarray([0.7]), 1e-5
    difference = (derivatives(h + ds)[0] - derivatives(h - ds)[0]) / (2 * ds)
    _, slope, forward = derivatives(h)
    assert float(slope) == pytest.approx(float(difference), rel=1e-6)
    if forward is not None:
        assert float(forward) == pytest.approx(float(difference), rel=1e-6)


def test_gradient_methods_of_an_adaptive_method_take_its_steps():
    config = AdaptiveConfig(max_step=0.25, break_points=(0.5,))
    methods = config.gradient_methods(is_step=True, learns_steps=False)
    assert set(methods) == {EXACT, "diffrax, checkpointed"}  # no backsolve over break points
    other = methods["diffrax, checkpointed"].controller
    assert (other.max_step, other.break_points) == (0.25, (0.5,))
