"""What a field prepares once per solve changes no number, and is computed once."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend.core import jaxprs_in_params
from numerics.cases import cases
from numerics.precision import drawn

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import (
    LayerFields,
    PerLayerWeightsConfig,
    SharedWeightsConfig,
    SharedWithTimeWeightsConfig,
)
from odenet.fields import ConvFieldConfig
from odenet.integrators import DiffraxConfig, ExplicitConfig, LeapfrogConfig

SHAPE, STEPS = (4, 3, 2), 4
FIELD = ConvFieldConfig(num_convolutions=1, activation="tanh")
WEIGHTS = {
    "shared": SharedWeightsConfig(),
    "shared_with_time": SharedWithTimeWeightsConfig(),
    "per_layer": PerLayerWeightsConfig(num_layers=2),
}
INTEGRATORS = {
    "euler": ExplicitConfig(),
    "euler_sqrt": ExplicitConfig(remat="sqrt"),
    "rk4": ExplicitConfig(kind="rk4"),
    "rk4_step": ExplicitConfig(kind="rk4", remat="step"),
    "constant": DiffraxConfig(solver="heun", controller={"kind": "constant"}),
    "adaptive": DiffraxConfig(solver="tsit5", max_steps=64),
    "direct": DiffraxConfig(solver="tsit5", adjoint={"kind": "direct"}, max_steps=16),
    "backsolve": DiffraxConfig(
        solver="heun", controller={"kind": "constant"}, adjoint={"kind": "backsolve"}
    ),
    "leapfrog": LeapfrogConfig(),
    "leapfrog_none": LeapfrogConfig(remat="none"),
}


PAIRS = [
    *(("shared_with_time", integrator) for integrator in INTEGRATORS),
    *itertools.product(("shared", "per_layer"), ("euler", "rk4", "leapfrog", "adaptive")),
]
ALWAYS = {
    *itertools.product(("shared_with_time",), ("euler_sqrt", "rk4", "backsolve", "leapfrog")),
    ("shared", "euler"),
    ("shared", "leapfrog"),
    ("per_layer", "rk4"),
}


def stack(weights):
    return drawn(
        lambda: weights.build(
            lambda takes_time, rngs: FIELD.build(SHAPE, takes_time, rngs=rngs),
            STEPS,
            rngs=nnx.Rngs(0),
        ),
        seed=1,
    )


def unprepared(fields):
    """The same fields; every evaluation does the whole work."""

    def whole(params, t, h):
        return fields.apply(fields.prepare(params, h), t, h)

    return LayerFields(whole, fields.params, fields.num_layers)


def prepared_and_unprepared(made, integrator, h0):
    """Outputs, statistics and gradients of both, by one program."""
    graphdef, state = nnx.split(made)

    def loss(state, taus, h0, prepared):
        fields = nnx.merge(graphdef, state).fields()
        assert fields.prepare is not None
        fields = fields if prepared else unprepared(fields)
        solve = integrator.integrate(fields, DepthGrid(taus, fields.num_layers), h0)
        return jnp.sum(jnp.sin(solve.h1)), (solve.h1, solve.stats)

    taus = np.linspace(0.1, 0.3, STEPS)
    both = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)
    return jax.jit(lambda *a: [both(*a, prepared) for prepared in (True, False)])(state, taus, h0)


@pytest.mark.parametrize(("weights", "integrator"), cases(PAIRS, ALWAYS))
def test_prepared_fields_give_the_numbers_of_unprepared_ones(weights, integrator):
    made, solver = stack(WEIGHTS[weights]), INTEGRATORS[integrator].build()
    h0 = np.random.default_rng(2).normal(size=(3, *SHAPE))
    found, expected = prepared_and_unprepared(made, solver, h0)
    # Backsolve by fixed steps: its adjoint equation holds the prepared arrays among its parameters,
    # so that its error control would be another one.
    tolerance = 1e-10
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    assert max(np.max(np.abs(leaf)) for leaf in jax.tree.leaves(found[1][0])) > 1e-3


def equations(jaxpr, inside_loop=False):
    """Every equation with whether it is evaluated again and again."""
    for equation in jaxpr.eqns:
        yield equation, inside_loop
        loops = inside_loop or equation.primitive.name in ("scan", "while")
        for inner in jaxprs_in_params(equation.params):
            yield from equations(getattr(inner, "jaxpr", inner), loops)


@pytest.mark.parametrize("prepared", [True, False])
def test_time_maps_are_computed_once_per_solve(prepared):
    made, integrator = stack(WEIGHTS["shared_with_time"]), ExplicitConfig(kind="rk4").build()
    fields = made.fields() if prepared else unprepared(made.fields())
    grid = DepthGrid(jnp.full(STEPS, 0.1), 1)
    jaxpr = jax.make_jaxpr(lambda h0: integrator.integrate(fields, grid, h0).h1)(
        jnp.zeros((3, *SHAPE))
    )
    convolutions = [
        (inside, equation.invars[0].aval.shape[-1])
        for equation, inside in equations(jaxpr.jaxpr)
        if equation.primitive.name == "odenet_conv"
    ]
    assert len([inside for inside, _ in convolutions if inside]) == (4 if prepared else 8)
    outside = [inside for inside, _ in convolutions if not inside]
    assert len(outside) == (1 if prepared else 0)


def test_fields_without_a_time_prepare_nothing_but_their_parameters():
    fields = stack(WEIGHTS["per_layer"]).fields()
    h0 = jnp.zeros((3, *SHAPE))
    prepared = fields.prepared(h0)
    params, maps = prepared.params
    assert jax.tree.leaves(maps) == []
    assert jax.tree.structure(params) == jax.tree.structure(fields.params)
    assert prepared.prepared(h0) is prepared
    assert dataclasses.replace(prepared, params=0) != prepared
