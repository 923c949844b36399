"""Derivatives by every integrator against central differences in double precision."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.cases import cases
from numerics.methods import KUTTA_3, adaptive_diffrax, fixed_diffrax
from numerics.precision import drawn

from odenet.depth.step_sizes import LearnedStepSizesConfig
from odenet.fields import HamiltonianFieldConfig, MLPFieldConfig
from odenet.integrators import (
    AdaptiveConfig,
    AsynchronousLeapfrogConfig,
    ExplicitConfig,
    LeapfrogConfig,
    MomentumConfig,
    ReversibleRungeKuttaConfig,
    SeparableConfig,
    TwoStepMidpointConfig,
)
from odenet.models import DepthBlockConfig

NUM_STEPS, WIDTH = 4, 2
TIGHT = 1e-10
INTEGRATORS = {
    "euler": ExplicitConfig(),
    "euler_remat": ExplicitConfig(remat="step"),
    "euler_remat_sqrt": ExplicitConfig(remat="sqrt"),
    "midpoint": ExplicitConfig(kind="midpoint"),
    "heun": ExplicitConfig(kind="heun"),
    "ralston": ExplicitConfig(kind="ralston"),
    "rk4": ExplicitConfig(kind="rk4"),
    "tableau": KUTTA_3,
    "leapfrog": LeapfrogConfig(),
    "leapfrog_stored": LeapfrogConfig(remat="none"),
    "leapfrog_remat_sqrt": LeapfrogConfig(remat="sqrt"),
    "leapfrog_kick_drift": LeapfrogConfig(form="kick_drift"),
    "symplectic_euler": SeparableConfig(kind="symplectic_euler"),
    "verlet": SeparableConfig(kind="verlet"),
    "two_step_midpoint": TwoStepMidpointConfig(),
    "momentum": MomentumConfig(),
    "asynchronous_leapfrog": AsynchronousLeapfrogConfig(),
    "asynchronous_leapfrog_stored": AsynchronousLeapfrogConfig(remat="none"),
    "reversible_midpoint": ReversibleRungeKuttaConfig(),
    "reversible_rk4": ReversibleRungeKuttaConfig(method="rk4", coupling=0.8),
    "reversible_heun_stored": ReversibleRungeKuttaConfig(method="heun", remat="none"),
    "adaptive_dopri5": AdaptiveConfig(rtol=TIGHT, atol=TIGHT, max_steps=512),
    "adaptive_bosh3": AdaptiveConfig(kind="bosh3", rtol=TIGHT, atol=TIGHT, max_steps=2048),
    "diffrax_fixed": fixed_diffrax("tsit5"),
    "diffrax_fixed_direct": fixed_diffrax("heun", adjoint={"kind": "direct"}),
    "diffrax_fixed_backsolve": fixed_diffrax("dopri8", adjoint={"kind": "backsolve"}),
    "diffrax_adaptive": adaptive_diffrax("dopri8", TIGHT),
    "diffrax_adaptive_direct": adaptive_diffrax(
        "dopri8", TIGHT, adjoint={"kind": "direct"}, max_steps=64
    ),
    "diffrax_adaptive_backsolve": adaptive_diffrax("dopri8", TIGHT, adjoint={"kind": "backsolve"}),
    "diffrax_adaptive_seminorm": adaptive_diffrax(
        "dopri8", TIGHT, adjoint={"kind": "backsolve", "seminorm": True}
    ),
}
ALWAYS = set(INTEGRATORS) - {
    "midpoint",
    "heun",
    "ralston",
    "rk4",
    "leapfrog_stored",
    "leapfrog_kick_drift",
    "symplectic_euler",
    "asynchronous_leapfrog_stored",
    "reversible_midpoint",
    "adaptive_bosh3",
    "diffrax_fixed",
    "diffrax_adaptive",
    "diffrax_adaptive_direct",
    "diffrax_adaptive_backsolve",
}
"""Without the methods that `test_every_field` differentiates in the same way.

The gradient of an adaptive solve by diffrax is that of ours: `integrators/test_adaptive_methods`.
"""
# An adaptive solver takes other steps at shifted parameters; backsolve solves once more. The
# explicit methods and fixed steps leave the error of the central difference alone.
TOLERANCE = {
    "adaptive_dopri5": 1e-6,
    "adaptive_bosh3": 1e-6,
    "diffrax_fixed_backsolve": 1e-6,
    "diffrax_adaptive": 1e-6,
    "diffrax_adaptive_direct": 1e-6,
    "diffrax_adaptive_backsolve": 1e-6,
    "diffrax_adaptive_seminorm": 1e-6,
}
STEP_SIZES = {
    f"{sharing}_{parametrisation}": LearnedStepSizesConfig(
        sharing=sharing, parametrisation=parametrisation, horizon=1.6
    )
    for sharing, parametrisation in itertools.product(
        ("shared", "per_layer"), ("free", "positive", "simplex", "remainder")
    )
    if sharing == "per_layer" or parametrisation in ("free", "positive")
}
PARAMETRISED = [*itertools.product(("euler", "rk4", "leapfrog"), STEP_SIZES)]
PARAMETRISED += [("diffrax_adaptive", name) for name in ("shared_positive", "per_layer_simplex")]
ALWAYS_PARAMETRISED = {
    ("euler", "shared_free"),
    ("euler", "per_layer_free"),
    ("euler", "per_layer_remainder"),
    ("leapfrog", "shared_positive"),
    ("leapfrog", "per_layer_positive"),
    ("leapfrog", "per_layer_simplex"),
}


def loss_of(step_sizes, integrator, weights):
    """A loss as a function of `(parameters, h0)`, and where its derivative is taken."""
    halved = isinstance(integrator, SeparableConfig)
    config = DepthBlockConfig(
        field=HamiltonianFieldConfig() if halved else MLPFieldConfig(),
        num_steps=NUM_STEPS,
        weights={"kind": weights},
        step_sizes=step_sizes,
        integrator=integrator,
    )
    block = drawn(lambda: config.build((WIDTH,), rngs=nnx.Rngs(0)), seed=3)
    raw = block.step_sizes.raw
    raw[...] = jnp.asarray(0.5 + 0.3 * np.asarray(raw[...]))
    graphdef, params = nnx.split(block)
    target = np.array([[0.4, -0.3], [1.0, 0.2]])

    def loss(at):
        params, h0 = at
        h1 = nnx.merge(graphdef, params)(h0).h1
        return jnp.sum((h1 - target) ** 2)

    return loss, (params, np.array([[0.3, -0.8], [1.1, 0.6]]))


def check(loss, at, tolerance, step=1e-5):
    """The gradient against differences, one number at a time, all of them by one program."""
    leaves, tree = jax.tree.flatten(at)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]

    def of_numbers(numbers):
        parts = zip(jnp.split(numbers, ends), leaves, strict=True)
        return loss(jax.tree.unflatten(tree, [part.reshape(leaf.shape) for part, leaf in parts]))

    numbers = np.concatenate([np.ravel(leaf) for leaf in leaves])
    shifts = step * np.eye(numbers.size)
    points = np.concatenate([numbers + shifts, numbers - shifts, [numbers]])
    found = jax.jit(lambda points: jax.lax.map(jax.value_and_grad(of_numbers), points))(points)
    values, gradients = map(np.asarray, found)
    ahead, behind = np.split(values[:-1], 2)
    expected = (ahead - behind) / (2 * step)
    assert np.min(np.abs(expected)) > 1e-5
    np.testing.assert_allclose(gradients[-1], expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", cases(INTEGRATORS, ALWAYS))
def test_gradients_of_every_integrator_equal_finite_differences(name):
    adaptive = "adaptive" in name
    weights = "shared_with_time" if adaptive else "per_layer"
    loss, at = loss_of(LearnedStepSizesConfig(horizon=1.6), INTEGRATORS[name], weights)
    check(loss, at, TOLERANCE.get(name, 1e-8))


@pytest.mark.parametrize(("name", "sizes"), cases(PARAMETRISED, ALWAYS_PARAMETRISED))
def test_gradients_of_every_step_size_parametrisation_equal_finite_differences(name, sizes):
    step_sizes = STEP_SIZES[sizes]
    # On shared weights the flow depends on the sum of the steps, which may be kept.
    weights = "per_layer" if step_sizes.keeps_sum else "shared_with_time"
    loss, at = loss_of(step_sizes, INTEGRATORS[name], weights)
    check(loss, at, TOLERANCE.get(name, 1e-8))
