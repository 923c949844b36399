"""Derivatives by every integrator against central differences in double precision."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.methods import KUTTA_3, adaptive_diffrax, fixed_diffrax
from numerics.precision import randomised

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
STEP_SIZES = [
    LearnedStepSizesConfig(sharing=sharing, parametrisation=parametrisation, horizon=1.6)
    for sharing, parametrisation in itertools.product(
        ("shared", "per_layer"), ("free", "positive", "simplex", "remainder")
    )
    if sharing == "per_layer" or parametrisation in ("free", "positive")
]


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
    block = randomised(config.build((WIDTH,), rngs=nnx.Rngs(0)), jax.random.key(3))
    raw = block.step_sizes.raw
    raw[...] = 0.5 + 0.3 * raw[...]
    graphdef, params = nnx.split(block)
    target = jnp.asarray([[0.4, -0.3], [1.0, 0.2]])

    def loss(at):
        params, h0 = at
        h1 = nnx.merge(graphdef, params)(h0).h1
        return jnp.sum((h1 - target) ** 2)

    return loss, (params, jnp.asarray([[0.3, -0.8], [1.1, 0.6]]))


def central_differences(loss, at, step=1e-5):
    """The gradient, one number at a time, all of them in one compiled call."""
    flat, unravel = jax.flatten_util.ravel_pytree(at)
    shifts = step * jnp.eye(flat.size)
    shifted = jnp.concatenate([flat[None] + shifts, flat[None] - shifts])
    values = jax.jit(functools.partial(jax.lax.map, lambda x: loss(unravel(x))))(shifted)
    ahead, behind = jnp.split(values, 2)
    return (ahead - behind) / (2 * step)


def check(loss, at, tolerance):
    gradient, _ = jax.flatten_util.ravel_pytree(jax.jit(jax.grad(loss))(at))
    expected = central_differences(loss, at)
    assert float(jnp.min(jnp.abs(expected))) > 1e-5
    np.testing.assert_allclose(gradient, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", INTEGRATORS)
def test_gradients_of_every_integrator_equal_finite_differences(name):
    adaptive = "adaptive" in name
    weights = "shared_with_time" if adaptive else "per_layer"
    loss, at = loss_of(LearnedStepSizesConfig(horizon=1.6), INTEGRATORS[name], weights)
    check(loss, at, TOLERANCE.get(name, 1e-8))


PARAMETRISED = [
    pytest.param(name, step, marks=pytest.mark.product if name == "rk4" else ())
    for name in ("euler", "rk4", "leapfrog")
    for step in STEP_SIZES
]
PARAMETRISED += [
    pytest.param("diffrax_adaptive", config, marks=marks)
    for config in STEP_SIZES
    for pair, marks in (
        (("shared", "positive"), pytest.mark.product),
        (("per_layer", "simplex"), ()),
    )
    if (config.sharing, config.parametrisation) == pair
]


@pytest.mark.parametrize(
    ("name", "step_sizes"),
    PARAMETRISED,
    ids=lambda x: x if isinstance(x, str) else f"{x.sharing}_{x.parametrisation}",
)
def test_gradients_of_every_step_size_parametrisation_equal_finite_differences(name, step_sizes):
    # On shared weights the flow depends on the sum of the steps, which may be kept.
    weights = "per_layer" if step_sizes.keeps_sum else "shared_with_time"
    loss, at = loss_of(step_sizes, INTEGRATORS[name], weights)
    check(loss, at, TOLERANCE.get(name, 1e-8))


def test_gradients_of_euler_and_diffrax_euler_agree():
    explicit, at = loss_of(LearnedStepSizesConfig(horizon=1.6), INTEGRATORS["euler"], "per_layer")
    diffrax, _ = loss_of(LearnedStepSizesConfig(horizon=1.6), fixed_diffrax("euler"), "per_layer")
    ours, theirs = (jax.jit(jax.grad(loss))(at) for loss in (explicit, diffrax))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
