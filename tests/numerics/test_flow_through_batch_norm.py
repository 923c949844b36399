"""Gradient flow through batch norm against `jax.grad` of a network written out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.test_gradient_flow import close

from odenet.analysis.chain import chain_of
from odenet.analysis.gradient_flow import gradient_flow, states_of
from odenet.analysis.layer_factors import jacobian
from odenet.models import RegressorConfig

WIDTH, DEPTH, BATCH, EPSILON = 3, 2, 6, 1e-5
X = jnp.asarray(np.random.default_rng(0).normal(size=(BATCH, 2)))
TARGETS = jnp.asarray(np.random.default_rng(1).normal(size=(BATCH, 3)))


def loss(outputs):
    return jnp.mean(jnp.sum((outputs - TARGETS) ** 2, axis=-1))


def network(**field):
    made = RegressorConfig.model_validate(
        {
            "stages": [{"width": WIDTH}],
            "block": {
                "num_steps": DEPTH,
                "field": {"kind": "residual"} | field,
                "step_sizes": {"kind": "learned"},
            },
            "head": {"norm": "batch", "activation": "relu"},
        }
    ).build((2,), 3, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(3)

    def drawn(path, leaf):
        values = 0.6 * rng.normal(size=leaf.shape)
        return jnp.asarray(np.exp(values) if "variance" in str(path) else values)

    variables = nnx.state(made, (nnx.Param, nnx.BatchStat))
    nnx.update(made, jax.tree_util.tree_map_with_path(drawn, variables))
    return made


def norm(x, p, training):
    mean, variance = (x.mean(0), ((x - x.mean(0)[None]) ** 2).mean(0))
    if not training:
        mean, variance = p["mean"], p["variance"]
    scaled = (x - mean[None]) / jnp.sqrt(variance + EPSILON)[None]
    return scaled * p["scale"][None] + p["bias"][None]


def written_out(params, fixed, nudges, x, training):
    """The loss, with `nudges[point]` added to the states."""
    both = nnx.to_pure_dict(nnx.merge_state(params, fixed))
    stem, head = both["projections"][0]["operation"]["linear"], both["head"]
    layers, taus = both["blocks"][0]["weights"]["stacked"], both["blocks"][0]["step_sizes"]["raw"]
    y = jnp.dot(x, stem["kernel"]) + stem["bias"][None] + nudges[0]
    for k in range(DEPTH):
        a = y
        for place in range(2):
            of_norm = jax.tree.map(lambda leaf, k=k: leaf[k], layers["norms"][place])
            a = jnp.maximum(norm(a, of_norm, training), 0)
            a = jnp.dot(a, layers["weights"][place]["kernel"][k])
        y = y + taus[k] * a + nudges[k + 1]
    y = jnp.maximum(norm(y, head["norm"], training), 0)
    return loss(jnp.dot(y, head["linear"]["kernel"]) + head["linear"]["bias"][None])


@pytest.mark.parametrize("training", [True, False], ids=["training", "frozen"])
def test_gradients_equal_those_of_a_network_written_by_hand(training):
    made = network()
    before = jax.tree.map(np.array, nnx.state(made, nnx.BatchStat))
    flow = jax.jit(lambda: gradient_flow(made, loss, X, training=training))()
    _, params, fixed = nnx.split(made, nnx.Param, ...)
    nudges = [jnp.zeros((BATCH, WIDTH))] * (DEPTH + 1)
    gradient = jax.jit(jax.grad(written_out, argnums=(0, 2, 3)), static_argnums=4)
    wanted, states, inputs = gradient(params, fixed, nudges, X, training)
    close(flow.inputs, inputs)
    close(flow.blocks[0].gradients, jnp.stack(states))
    block = wanted["blocks"][0]
    close(flow.blocks[0].taus, jax.tree.leaves(block["step_sizes"])[0])
    for found, one in (
        (flow.blocks[0].weights, block["weights"]["stacked"]),
        (flow.head, wanted["head"]),
        (flow.projections[0], wanted["projections"][0]),
    ):
        assert len(jax.tree.leaves(found)) == len(jax.tree.leaves(one))
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(made, nnx.BatchStat), before)


def test_original_units_are_followed_too():
    made = network(arrangement="original")
    flow = jax.jit(lambda: gradient_flow(made, loss, X, training=True))()
    graphdef, params, fixed = nnx.split(made, nnx.Param, ...)

    @jax.jit
    @jax.grad
    def gradient(params):
        return loss(nnx.merge(graphdef, params, fixed, copy=True)(X, training=True).outputs)

    block = gradient(params)["blocks"][0]
    close(flow.blocks[0].taus, jax.tree.leaves(block["step_sizes"])[0])
    for a, b in zip(
        jax.tree.leaves(flow.blocks[0].weights),
        jax.tree.leaves(block["weights"]["stacked"]),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


def test_factors_of_the_evaluated_network_multiply_to_its_gradient():
    made = network()
    (path,) = states_of(made, X)
    flow = gradient_flow(made, loss, X)
    np.testing.assert_allclose(path, flow.blocks[0].states, rtol=1e-12)
    gradient = flow.blocks[0].gradients[-1]
    for factor in chain_of(made.blocks[0]).each_step(jacobian, path)[::-1]:
        gradient = jnp.einsum("bo,boi->bi", gradient, factor)
    np.testing.assert_allclose(gradient, flow.blocks[0].gradients[0], rtol=1e-11, atol=1e-13)
