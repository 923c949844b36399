"""Every integrator on every kind of field, in double precision: order, gradient, inversion."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.methods import KUTTA_3, fixed_diffrax
from numerics.precision import randomised

from odenet.depth.grid import DepthGrid
from odenet.integrators import (
    AdaptiveConfig,
    AsynchronousLeapfrogConfig,
    ExplicitConfig,
    FractionalConfig,
    LeapfrogConfig,
    MomentumConfig,
    SeparableConfig,
    TwoStepMidpointConfig,
)
from odenet.integrators.stages import StagedConfig
from odenet.models import DepthBlockConfig

VECTOR, HALVES, IMAGE = (3,), (4,), (3, 3, 4)
SMOOTH = {"activation": "tanh"}
FIELDS = {
    "mlp": ({"kind": "mlp", "form": "between", "hidden": [5], **SMOOTH}, VECTOR),
    "conv": ({"kind": "conv", "num_groups": 2, **SMOOTH}, IMAGE),
    "residual": ({"kind": "residual"}, IMAGE),
    "antisymmetric": ({"kind": "antisymmetric", "gamma": 0.2, **SMOOTH}, VECTOR),
    "antisymmetric_images": ({"kind": "antisymmetric", "gamma": 0.2, **SMOOTH}, IMAGE),
    "parabolic": ({"kind": "parabolic", "hidden": 5, **SMOOTH}, VECTOR),
    "hamiltonian": ({"kind": "hamiltonian", **SMOOTH}, HALVES),
    "two_layer_hamiltonian": ({"kind": "two_layer_hamiltonian", **SMOOTH}, HALVES),
}
SEPARABLE = {"hamiltonian", "two_layer_hamiltonian"}
METHODS = {
    "euler": (ExplicitConfig(), 1),
    "midpoint": (ExplicitConfig(kind="midpoint"), 2),
    "heun": (ExplicitConfig(kind="heun"), 2),
    "ralston": (ExplicitConfig(kind="ralston"), 2),
    "rk4": (ExplicitConfig(kind="rk4"), 4),
    "kutta_3": (KUTTA_3, 3),
    "diffrax_bosh3": (fixed_diffrax("bosh3"), 3),
    "leapfrog": (LeapfrogConfig(), 2),
    "kick_drift": (LeapfrogConfig(form="kick_drift"), 1),
    "symplectic_euler": (SeparableConfig(kind="symplectic_euler"), 1),
    "verlet": (SeparableConfig(kind="verlet"), 2),
    "two_step_midpoint": (TwoStepMidpointConfig(), 2),
    "momentum": (MomentumConfig(gamma=0.5), 1),
    "asynchronous_leapfrog": (AsynchronousLeapfrogConfig(), 2),
    "adaptive_dopri5": (AdaptiveConfig(rtol=1e-9, atol=1e-9, max_steps=256), None),
    "fractional": (FractionalConfig(), None),
}
STEPS = {1: 128, 2: 32, 3: 16, 4: 8}
"""The least number of steps at which the leading term of the error rules, by order."""
PAIRS = [
    pytest.param(field, method, id=f"{field}-{method}")
    for field in FIELDS
    for method, (config, _) in METHODS.items()
    if field in SEPARABLE or not isinstance(config, SeparableConfig)
]
ORDERS = [p for p in PAIRS if p.values[0] != "residual" and METHODS[p.values[1]][1] is not None]
"""Without ReLU, which has no second derivative, and where the order is a whole number."""
DIFFERENCES = [p for p in PAIRS if p.values != ("residual", "adaptive_dopri5")]
"""At the kinks of ReLU an adaptive method takes other steps for every difference."""
REVERSIBLE = [pair for pair in PAIRS if isinstance(METHODS[pair.values[1]][0], StagedConfig)]


@functools.cache
def made(field_name, method_name, num_steps=3, remat=None):
    """A block with random weights, which see the time where the field can, and a first state."""
    field, shape = FIELDS[field_name]
    config = METHODS[method_name][0]
    if remat is not None:
        config = config.model_copy(update={"remat": remat})
    weights = "shared" if field_name == "residual" else "shared_with_time"
    block = DepthBlockConfig.model_validate(
        {
            "num_steps": num_steps,
            "field": field,
            "weights": {"kind": weights},
            "step_sizes": {"kind": "learned", "horizon": 0.8, "parametrisation": "positive"},
            "integrator": config.model_dump(),
        }
    ).build(shape, rngs=nnx.Rngs(0))
    step_sizes = block.step_sizes.raw[...]
    block = randomised(block, jax.random.key(3))
    block.step_sizes.raw[...] = step_sizes.astype(jnp.float64)
    # Running variances that were drawn with the rest may be negative.
    statistics = jax.tree.map(lambda leaf: 0.5 + jnp.abs(leaf), nnx.state(block, nnx.BatchStat))
    nnx.update(block, statistics)
    return block, jax.random.normal(jax.random.key(4), (2, *shape), jnp.float64)


@pytest.mark.parametrize(("field_name", "method_name"), ORDERS)
def test_observed_order_is_that_of_the_method(field_name, method_name):
    order = METHODS[method_name][1]
    assert order is not None
    block, h0 = made(field_name, method_name)
    first = STEPS[order]

    @jax.jit
    def ends(h0):
        return [
            block.integrator.integrate(
                block.weights.fields(), DepthGrid(jnp.full(n, 0.8 / n), 1), h0
            ).h1
            for n in (first, 2 * first, 4 * first)
        ]

    coarse, middle, fine = ends(h0)
    changes = [jnp.linalg.norm((a - b).ravel()) for a, b in ((coarse, middle), (middle, fine))]
    assert np.log2(changes[0] / changes[1]) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize(("field_name", "method_name"), DIFFERENCES)
def test_gradient_is_that_of_central_differences(field_name, method_name):
    block, h0 = made(field_name, method_name)
    graphdef, params, fixed = nnx.split(block, nnx.Param, ...)

    def loss(variables):
        params, h0 = variables
        return jnp.sum(jnp.sin(nnx.merge(graphdef, params, fixed)(h0).h1))

    at = (params, h0)
    leaves, tree = jax.tree.flatten(at)
    draw = np.random.default_rng(5)
    way = jax.tree.unflatten(tree, [jnp.asarray(draw.normal(size=leaf.shape)) for leaf in leaves])
    value, gradient = jax.jit(loss), jax.jit(jax.grad(loss))(at)
    product = sum(jax.tree.leaves(jax.tree.map(jnp.vdot, gradient, way)))
    step = 1e-6
    ahead, behind = (
        value(jax.tree.map(lambda leaf, d, s=s: leaf + s * d, at, way)) for s in (step, -step)
    )
    difference = float(ahead - behind) / (2 * step)
    assert float(product) == pytest.approx(difference, rel=2e-6)


@pytest.mark.parametrize(("field_name", "method_name"), REVERSIBLE)
def test_states_are_reconstructed_to_round_off(field_name, method_name):
    def gradient(remat):
        block, h0 = made(field_name, method_name, 6, remat)
        graphdef, params, fixed = nnx.split(block, nnx.Param, ...)

        def loss(params, h0):
            return jnp.sum(jnp.sin(nnx.merge(graphdef, params, fixed)(h0).h1))

        return jax.tree.leaves(jax.jit(jax.grad(loss, argnums=(0, 1)))(params, h0))

    for found, stored in zip(gradient("reversible"), gradient("none"), strict=True):
        np.testing.assert_allclose(found, stored, rtol=1e-9, atol=1e-11)
