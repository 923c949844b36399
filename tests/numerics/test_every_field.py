"""Every integrator on every kind of field, in double precision: order, gradient, inversion.

A program is compiled for every pair. Always run are those in which a part meets another for the
first time (`kept`); the others are marked `product`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.cases import cases
from numerics.methods import KUTTA_3, adaptive_diffrax, fixed_diffrax
from numerics.precision import drawn
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
    "diffrax_backsolve": (adaptive_diffrax("tsit5", 1e-9, adjoint={"kind": "backsolve"}), None),
    "fractional": (FractionalConfig(), None),
}
STEPS = {1: 128, 2: 32, 3: 16, 4: 8}
"""The least number of steps at which the leading term of the error rules, by order."""
FAILED_ONCE = {("depth_adaptive_partitioned", "diffrax_semi_implicit_euler")}
CARRIED = {
    "residual": {"rk4", "fractional"},
    "dense": {"adaptive_dopri5", "diffrax_bosh3"},
    "data_controlled": {"leapfrog", "fractional", "adaptive_dopri5", "diffrax_backsolve"},
}
"""Ways to the gradient that batch statistics, integers among the weights and the first state go
too: stored states, reconstructed ones, a history, an adaptive solve, diffrax, and its adjoint."""


def refused(field, method):
    """Whether the method is partitioned, and the field is not."""
    return field not in SEPARABLE and METHODS[method][0].is_partitioned


PAIRS = [(field, method) for field in FIELDS for method in METHODS if not refused(field, method)]
REFUSED = [(field, method) for field in FIELDS for method in METHODS if refused(field, method)]


def kept(pairs, every_field, *others):
    """Every method once, every field under `every_field` if it is one, and what failed once."""
    failed = {method for _, method in FAILED_ONCE}
    return {
        (field, method)
        for field, method in pairs
        if (
            field == ("hamiltonian" if METHODS[method][0].is_partitioned else "mlp")
            and method not in failed
        )
        or method == every_field
        or (field, method) in FAILED_ONCE
    }.union(*others)


ORDERS = [
    (field, method)
    for field, method in PAIRS
    if field not in WEIGHTS and METHODS[method][1] is not None
]
"""Without ReLU, which has no second derivative, and `dense`, whose weights jump from layer to
layer; and where the order is a whole number."""
ALWAYS_ORDERS = kept(
    ORDERS,
    None,
    {(field, "rk4") for field in ("conv", "parabolic", "data_controlled", "depth_adaptive")},
)
ADAPTIVE = ("adaptive_dopri5", "diffrax_backsolve")
DIFFERENCES = [pair for pair in PAIRS if pair not in {("residual", name) for name in ADAPTIVE}]
"""At the kinks of ReLU an adaptive method takes other steps for every difference."""
ALWAYS_DIFFERENCES = kept(
    DIFFERENCES,
    "asynchronous_leapfrog",
    {(field, method) for field, methods in CARRIED.items() for method in methods},
) - {("mlp", "diffrax_bosh3"), ("mlp", "diffrax_backsolve")}
REVERSIBLE = [pair for pair in PAIRS if isinstance(METHODS[pair[1]][0], StagedConfig)]
ALWAYS_RECONSTRUCTED = {
    (field, "asynchronous_leapfrog")
    for field in ("conv", "residual", "data_controlled", "depth_adaptive", "dense")
}
"""Prepared weights, statistics, a first state and integers; the methods: `test_inverted_steps`."""


def configured(field_name, method_name, num_steps=6, remat=None):
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
def block_of(field_name, num_steps):
    """Random weights and step sizes of a block, and a first state: the same for every method."""
    shape = FIELDS[field_name][1]
    config = configured(field_name, "euler", num_steps)
    block = drawn(lambda: config.build(shape, rngs=nnx.Rngs(0)), seed=3)
    block.step_sizes.raw[...] = jnp.asarray(np.full(num_steps, np.log(np.expm1(0.8 / num_steps))))
    # Running variances that were drawn with the rest may be negative.
    statistics = jax.tree.map(
        lambda leaf: jnp.asarray(0.5 + np.abs(leaf)), nnx.state(block, nnx.BatchStat)
    )
    nnx.update(block, statistics)
    h0 = np.random.default_rng(4).normal(size=(2, *shape))
    if isinstance(config.field, DenseFieldConfig):
        # The channels that the layers write into are 0 before, as a stage of zero padding has them.
        h0[:, -num_steps * config.field.growth :] = 0
    return block, jnp.asarray(h0)


def made(field_name, method_name, num_steps=6, remat=None):
    """A block of that field and method, and a first state."""
    integrator = configured(field_name, method_name, num_steps, remat).integrator.build()
    block, h0 = block_of(field_name, num_steps)
    return DepthBlock(block.weights, block.step_sizes, integrator), h0


def kinds(contract):
    return {kind for config in members(contract) for kind in kinds_of(config)}


def test_fields_and_integrators_of_every_kind_are_tested():
    assert {field["kind"] for field, _ in FIELDS.values()} == kinds(VectorFieldConfig)
    # Another embedded tableau changes neither what is differentiated nor what is refused.
    assert {config.kind for config, _ in METHODS.values()} | {"bosh3"} == kinds(IntegratorConfig)


@pytest.mark.parametrize(("field_name", "method_name"), REFUSED)
def test_partitioned_method_is_refused_without_them(field_name, method_name):
    kind = FIELDS[field_name][0]["kind"]
    method = method_name.replace("diffrax_", "diffrax with solver=")
    message = f"kind={method} is a partitioned method.*got field kind={kind};"
    with pytest.raises(ValidationError, match=message):
        configured(field_name, method_name)


@pytest.mark.parametrize(("field_name", "method_name"), cases(ORDERS, ALWAYS_ORDERS))
def test_observed_order_is_that_of_the_method(field_name, method_name):
    order = METHODS[method_name][1]
    assert order is not None
    block, h0 = made(field_name, method_name)
    longest = 4 * STEPS[order]
    numbers = [longest // 4, longest // 2, longest]
    # Shorter grids begin with steps of size zero, so that one program takes them all.
    grids = [np.pad(np.full(n, 0.8 / n), (longest - n, 0)) for n in numbers]

    @jax.jit
    def ends(grids, h0):
        fields = block.weights.fields().from_start(h0)
        return jax.lax.map(
            lambda taus: block.integrator.integrate(fields, DepthGrid(taus, 1), h0).h1, grids
        )

    changes = [np.linalg.norm(change) for change in np.diff(ends(np.stack(grids), h0), axis=0)]
    assert np.log2(changes[0] / changes[1]) == pytest.approx(order, abs=0.15)


@functools.cache
def differentiated(field_name, method_name, remat):
    """A compiled loss with its gradient, by weights, step sizes and first state, and where."""
    block, h0 = made(field_name, method_name, remat=remat)
    graphdef, params, fixed = nnx.split(block, nnx.Param, ...)

    @jax.value_and_grad
    def loss(variables):
        params, h0 = variables
        return jnp.sum(jnp.sin(nnx.merge(graphdef, params, fixed)(h0).h1))

    return jax.jit(loss), jax.tree.map(np.asarray, (params, h0))


@pytest.mark.parametrize(("field_name", "method_name"), cases(DIFFERENCES, ALWAYS_DIFFERENCES))
def test_gradient_is_that_of_central_differences(field_name, method_name):
    loss, at = differentiated(field_name, method_name, None)
    leaves, tree = jax.tree.flatten(at)
    draw, step = np.random.default_rng(5), 1e-6
    way = [draw.normal(size=leaf.shape) for leaf in leaves]
    (ahead, _), (_, gradient), (behind, _) = (
        loss(jax.tree.unflatten(tree, [leaf + s * d for leaf, d in zip(leaves, way, strict=True)]))
        for s in (step, 0.0, -step)
    )
    product = sum(map(np.vdot, jax.tree.leaves(gradient), way))
    difference = (float(ahead) - float(behind)) / (2 * step)
    # The adjoint equation is solved to a tolerance of its own.
    rel = 1e-5 if method_name == "diffrax_backsolve" else 2e-6
    assert product == pytest.approx(difference, rel=rel)


@pytest.mark.parametrize(("field_name", "method_name"), cases(REVERSIBLE, ALWAYS_RECONSTRUCTED))
def test_states_are_reconstructed_to_round_off(field_name, method_name):
    assert METHODS[method_name][0].remat == "reversible"
    found, stored = (
        jax.tree.leaves(loss(at)[1])
        for loss, at in (differentiated(field_name, method_name, remat) for remat in (None, "none"))
    )
    for ours, theirs in zip(found, stored, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)
