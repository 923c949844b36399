"""Every integrator on every kind of field, in double precision: order, gradient, inversion.

A program is compiled for every pair. Always run are those in which a part meets another for the
first time (`is_kept`); the others are marked `product`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.methods import KUTTA_3, fixed_diffrax
from numerics.precision import randomised
from pydantic import ValidationError

from odenet.depth.grid import DepthGrid
from odenet.fields import DenseFieldConfig, VectorFieldConfig
from odenet.integrators import (
    AdaptiveConfig,
    AsynchronousLeapfrogConfig,
    ExplicitConfig,
    FractionalConfig,
    IntegratorConfig,
    LeapfrogConfig,
    MomentumConfig,
    ReversibleRungeKuttaConfig,
    SeparableConfig,
    TwoStepMidpointConfig,
)
from odenet.integrators.stages import StagedConfig
from odenet.models import DepthBlock, DepthBlockConfig
from odenet.part.kinds import kinds_of, members

VECTOR, PARTITIONED, IMAGE, ROOM = (3,), (4,), (3, 3, 4), (8,)
SMOOTH = {"activation": "tanh"}
MAP = {"kind": "mlp", "form": "between", "hidden": [5], **SMOOTH}
FIELDS = {
    "mlp": (MAP, VECTOR),
    "conv": ({"kind": "conv", "num_groups": 2, **SMOOTH}, IMAGE),
    "residual": ({"kind": "residual"}, IMAGE),
    "antisymmetric": ({"kind": "antisymmetric", "gamma": 0.2, **SMOOTH}, VECTOR),
    "antisymmetric_images": ({"kind": "antisymmetric", "gamma": 0.2, **SMOOTH}, IMAGE),
    "parabolic": ({"kind": "parabolic", "hidden": 5, **SMOOTH}, VECTOR),
    "hamiltonian": ({"kind": "hamiltonian", **SMOOTH}, PARTITIONED),
    "two_layer_hamiltonian": ({"kind": "two_layer_hamiltonian", **SMOOTH}, PARTITIONED),
    "second_order": ({"kind": "second_order", "inner": MAP}, PARTITIONED),
    "second_order_damped": (
        {"kind": "second_order", "inner": MAP, "sees_velocity": True},
        PARTITIONED,
    ),
    "data_controlled": ({"kind": "data_controlled", "inner": MAP}, VECTOR),
    "depth_adaptive": ({"kind": "depth_adaptive", "inner": MAP, "hidden": [2]}, VECTOR),
    "depth_adaptive_partitioned": (
        {"kind": "depth_adaptive", "inner": {"kind": "hamiltonian", **SMOOTH}, "sign": "free"},
        PARTITIONED,
    ),
    "dense": ({"kind": "dense", "growth": 1, **SMOOTH}, ROOM),
}
SEPARABLE = {"hamiltonian", "two_layer_hamiltonian", "second_order", "depth_adaptive_partitioned"}
WEIGHTS = {"residual": "shared", "dense": "per_layer"}
"""Where the field cannot see the time."""
METHODS = {
    "euler": (ExplicitConfig(), 1),
    "midpoint": (ExplicitConfig(kind="midpoint"), 2),
    "heun": (ExplicitConfig(kind="heun"), 2),
    "ralston": (ExplicitConfig(kind="ralston"), 2),
    "rk4": (ExplicitConfig(kind="rk4"), 4),
    "kutta_3": (KUTTA_3, 3),
    "diffrax_bosh3": (fixed_diffrax("bosh3"), 3),
    "diffrax_semi_implicit_euler": (fixed_diffrax("semi_implicit_euler"), 1),
    "leapfrog": (LeapfrogConfig(), 2),
    "kick_drift": (LeapfrogConfig(form="kick_drift"), 1),
    "symplectic_euler": (SeparableConfig(kind="symplectic_euler"), 1),
    "verlet": (SeparableConfig(kind="verlet"), 2),
    "two_step_midpoint": (TwoStepMidpointConfig(), 2),
    "momentum": (MomentumConfig(gamma=0.5), 1),
    "asynchronous_leapfrog": (AsynchronousLeapfrogConfig(), 2),
    "reversible_rk": (ReversibleRungeKuttaConfig(coupling=0.5), 2),
    "adaptive_dopri5": (AdaptiveConfig(rtol=1e-9, atol=1e-9, max_steps=256), None),
    "fractional": (FractionalConfig(), None),
}
STEPS = {1: 128, 2: 32, 3: 16, 4: 8}
"""The least number of steps at which the leading term of the error rules, by order."""
FIELDS_OF_EVERY_METHOD = {"mlp", "residual", "hamiltonian", "dense"}
"""What a method may carry: nothing else, batch statistics, partitions, integers in the weights."""
METHODS_OF_EVERY_FIELD = {"rk4", "asynchronous_leapfrog"}
"""How states reach the gradient: stored, and reconstructed."""
FAILED_ONCE = {("depth_adaptive_partitioned", "diffrax_semi_implicit_euler")}


def is_kept(field, method):
    """Whether a pair is always run."""
    return (
        field in FIELDS_OF_EVERY_METHOD
        or method in METHODS_OF_EVERY_FIELD
        or (field, method) in FAILED_ONCE
    )


def pair(field, method):
    marks = () if is_kept(field, method) else pytest.mark.product
    return pytest.param(field, method, id=f"{field}-{method}", marks=marks)


ALL = [pair(field, method) for field in FIELDS for method in METHODS]
REFUSED = [
    pair
    for pair in ALL
    if pair.values[0] not in SEPARABLE and METHODS[pair.values[1]][0].is_partitioned
]
PAIRS = [pair for pair in ALL if pair not in REFUSED]
ORDERS = [
    pair
    for pair in PAIRS
    if pair.values[0] not in WEIGHTS and METHODS[pair.values[1]][1] is not None
]
"""Without ReLU, which has no second derivative, and `dense`, whose weights jump from layer to
layer; and where the order is a whole number."""
DIFFERENCES = [p for p in PAIRS if p.values != ("residual", "adaptive_dopri5")]
"""At the kinks of ReLU an adaptive method takes other steps for every difference."""
REVERSIBLE = [pair for pair in PAIRS if isinstance(METHODS[pair.values[1]][0], StagedConfig)]


def configured(field_name, method_name, num_steps=3, remat=None):
    """The config of a block whose weights see the time where the field can."""
    integrator = METHODS[method_name][0].model_dump()
    return DepthBlockConfig.model_validate(
        {
            "num_steps": num_steps,
            "field": FIELDS[field_name][0],
            "weights": {"kind": WEIGHTS.get(field_name, "shared_with_time")},
            "step_sizes": {"kind": "learned", "horizon": 0.8, "parametrisation": "positive"},
            "integrator": integrator if remat is None else integrator | {"remat": remat},
        }
    )


@functools.cache
def drawn(field_name, num_steps):
    """Random weights and step sizes of a block, and a first state: the same for every method."""
    shape = FIELDS[field_name][1]
    config = configured(field_name, "euler", num_steps)
    block = config.build(shape, rngs=nnx.Rngs(0))
    step_sizes = block.step_sizes.raw[...]
    block = randomised(block, jax.random.key(3))
    block.step_sizes.raw[...] = step_sizes.astype(jnp.float64)
    # Running variances that were drawn with the rest may be negative.
    statistics = jax.tree.map(lambda leaf: 0.5 + jnp.abs(leaf), nnx.state(block, nnx.BatchStat))
    nnx.update(block, statistics)
    h0 = jax.random.normal(jax.random.key(4), (2, *shape), jnp.float64)
    if isinstance(config.field, DenseFieldConfig):
        # The channels that the layers write into are 0 before, as a stage of zero padding has them.
        h0 = h0.at[:, -num_steps * config.field.growth :].set(0)
    return block, h0


def made(field_name, method_name, num_steps=3, remat=None):
    """A block of that field and method, and a first state."""
    integrator = configured(field_name, method_name, num_steps, remat).integrator.build()
    block, h0 = drawn(field_name, num_steps)
    return DepthBlock(block.weights, block.step_sizes, integrator), h0


def kinds(contract):
    return {kind for config in members(contract) for kind in kinds_of(config)}


def test_fields_and_integrators_of_every_kind_are_tested():
    assert {field["kind"] for field, _ in FIELDS.values()} == kinds(VectorFieldConfig)
    # Another embedded tableau changes neither what is differentiated nor what is refused.
    assert {config.kind for config, _ in METHODS.values()} | {"bosh3"} == kinds(IntegratorConfig)


@pytest.mark.parametrize(
    ("field_name", "method_name"), [pytest.param(*pair.values, id=pair.id) for pair in REFUSED]
)
def test_partitioned_method_is_refused_without_them(field_name, method_name):
    kind = FIELDS[field_name][0]["kind"]
    method = method_name.replace("diffrax_", "diffrax with solver=")
    message = f"kind={method} is a partitioned method.*got field kind={kind};"
    with pytest.raises(ValidationError, match=message):
        configured(field_name, method_name)


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
                block.weights.fields().from_start(h0), DepthGrid(jnp.full(n, 0.8 / n), 1), h0
            ).h1
            for n in (first, 2 * first, 4 * first)
        ]

    coarse, middle, fine = ends(h0)
    changes = [jnp.linalg.norm((a - b).ravel()) for a, b in ((coarse, middle), (middle, fine))]
    assert np.log2(changes[0] / changes[1]) == pytest.approx(order, abs=0.15)


@functools.cache
def differentiated(field_name, method_name, remat):
    """A compiled loss with its gradient, by weights, step sizes and first state, and where."""
    block, h0 = made(field_name, method_name, 6, remat)
    graphdef, params, fixed = nnx.split(block, nnx.Param, ...)

    @jax.value_and_grad
    def loss(variables):
        params, h0 = variables
        return jnp.sum(jnp.sin(nnx.merge(graphdef, params, fixed)(h0).h1))

    return jax.jit(loss), (params, h0)


@pytest.mark.parametrize(("field_name", "method_name"), DIFFERENCES)
def test_gradient_is_that_of_central_differences(field_name, method_name):
    loss, at = differentiated(field_name, method_name, None)
    leaves, tree = jax.tree.flatten(at)
    draw = np.random.default_rng(5)
    way = jax.tree.unflatten(tree, [jnp.asarray(draw.normal(size=leaf.shape)) for leaf in leaves])
    _, gradient = loss(at)
    product = sum(jax.tree.leaves(jax.tree.map(jnp.vdot, gradient, way)))
    step = 1e-6
    (ahead, _), (behind, _) = (
        loss(jax.tree.map(lambda leaf, d, s=s: leaf + s * d, at, way)) for s in (step, -step)
    )
    difference = float(ahead - behind) / (2 * step)
    assert float(product) == pytest.approx(difference, rel=2e-6)


@pytest.mark.parametrize(("field_name", "method_name"), REVERSIBLE)
def test_states_are_reconstructed_to_round_off(field_name, method_name):
    assert METHODS[method_name][0].remat == "reversible"
    found, stored = (
        jax.tree.leaves(loss(at)[1])
        for loss, at in (differentiated(field_name, method_name, remat) for remat in (None, "none"))
    )
    for ours, theirs in zip(found, stored, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)
