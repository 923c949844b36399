"""The program of a training step does not grow with the depth of the network."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from odenet.models import ResNetConfig
from odenet.objectives import CrossEntropyConfig, Objective
from odenet.training.state import split_network


def equations(jaxpr):
    """Number of equations, those of inner programs included."""
    inner = [
        leaf
        for equation in jaxpr.eqns
        for value in equation.params.values()
        for leaf in jax.tree.leaves(value, is_leaf=lambda leaf: hasattr(leaf, "eqns"))
        if hasattr(leaf, "eqns")
    ]
    return len(jaxpr.eqns) + sum(equations(getattr(each, "jaxpr", each)) for each in inner)


def equations_of_a_gradient(depth, **options):
    config = ResNetConfig(depth=depth, width=2, **options)
    network = nnx.eval_shape(lambda: config.build((8, 8, 3), 10, rngs=nnx.Rngs(0)))
    graphdef, params, statistics = split_network(network)
    objective = Objective(CrossEntropyConfig().build())

    def loss(params, statistics, inputs, targets):
        model = nnx.merge(graphdef, params, statistics)
        weights = jnp.ones(len(inputs), inputs.dtype)
        value, _ = objective(model, inputs, targets, weights, training=True)
        return value, split_network(model)[2]

    inputs = jax.ShapeDtypeStruct((4, 8, 8, 3), jnp.float32)
    targets = jax.ShapeDtypeStruct((4,), jnp.int32)
    traced = jax.make_jaxpr(jax.grad(loss, has_aux=True))
    return equations(traced(params, statistics, inputs, targets).jaxpr)


@pytest.mark.parametrize(
    "arrangement", ["original", pytest.param("full_preactivation", marks=pytest.mark.product)]
)
def test_training_step_has_the_same_equations_at_every_depth(arrangement):
    options = {"arrangement": arrangement, "step_sizes": {"kind": "learned"}}
    shallow, deep = (equations_of_a_gradient(depth, **options) for depth in (20, 56))
    assert shallow == deep > 500
