"""The instrument against `jax.grad` of networks written out by hand with the same weights.

The hand-written network shares no code with the package: a loop over layers in double precision,
where a zero is added to every state so that the gradient with respect to it is dL/dy.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.precision import drawn

from odenet.analysis.chain import chain_of
from odenet.analysis.gradient_flow import gradient_flow
from odenet.analysis.layer_factors import factors, jacobian
from odenet.depth.step_sizes import LearnedStepSizesConfig
from odenet.models import DepthBlockConfig, FeedForwardBlockConfig, RegressorConfig

WIDTHS, DEPTH, BATCH = (2, 4), 3, 5
X = jnp.asarray(np.random.default_rng(0).normal(size=(BATCH, 2)))
TARGETS = jnp.asarray(np.random.default_rng(1).normal(size=(BATCH, 3)))
TAUS = np.array([0.7, -0.3, 1.4])


def loss(outputs):
    return jnp.mean(jnp.sum((outputs - TARGETS) ** 2, axis=-1))


def network(block, config=RegressorConfig):
    stages = [
        {"width": width} | ({"projection": {"kind": "linear"}} if index else {})
        for index, width in enumerate(WIDTHS)
    ]
    config = config(stages=stages, block=block)
    made = drawn(lambda: config.build((2,), 3, rngs=nnx.Rngs(0)), seed=11, scale=0.6)
    for block in made.blocks:
        if hasattr(block, "step_sizes"):
            block.step_sizes.raw[...] = jnp.asarray(TAUS)
    return made


def weights_of(made):
    """Everything that the hand-written network needs, as plain arrays."""

    def affine(linear):
        return linear.kernel[...], linear.bias[...]

    blocks = []
    for block in made.blocks:
        W, b = affine(block.weights.stacked.affine[0])
        taus = block.step_sizes.raw[...] if hasattr(block, "step_sizes") else None
        blocks.append((W, b, taus))
    projections = [affine(projection.operation.linear) for projection in made.projections]
    return projections, blocks, affine(made.head.linear)


def written_out(weights, nudges, x):
    """The loss, with `nudges[block][point]` added to the states."""
    projections, blocks, (head, bias) = weights
    y = x
    for (P, c), (W, b, taus), nudge in zip(projections, blocks, nudges, strict=True):
        y = jnp.dot(y, P) + c[None] + nudge[0]
        for k in range(DEPTH):
            a = jnp.tanh(jnp.dot(y, W[k]) + b[k][None])
            y = (a if taus is None else y + taus[k] * a) + nudge[k + 1]
    return loss(jnp.dot(y, head) + bias[None])


def expected(made):
    weights = weights_of(made)
    nudges = [jnp.zeros((DEPTH + 1, BATCH, width)) for width in WIDTHS]
    return jax.jit(jax.grad(written_out, argnums=(0, 1, 2)))(weights, nudges, X)


RESIDUAL = DepthBlockConfig(num_steps=DEPTH, step_sizes=LearnedStepSizesConfig())
PLAIN = FeedForwardBlockConfig(num_layers=DEPTH)
BLOCKS = {"residual": RESIDUAL, "plain": PLAIN}


@functools.cache
def followed(name):
    """A network with its gradient flow."""
    made = network(BLOCKS[name])
    return made, jax.jit(lambda: gradient_flow(made, loss, X))()


def close(found, wanted):
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    assert np.max(np.abs(wanted)) > 1e-5
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", BLOCKS)
def test_gradients_of_states_weights_and_taus_equal_those_of_a_network_written_by_hand(name):
    made, flow = followed(name)
    (projections, blocks, head), states, inputs = expected(made)
    close(flow.inputs, inputs)
    for found, wanted in zip(flow.blocks, states, strict=True):
        close(found.gradients, wanted)
    for found, (W, b, taus) in zip(flow.blocks, blocks, strict=True):
        layer = nnx.to_pure_dict(found.weights)["affine"][0]
        close(layer["kernel"], W)
        close(layer["bias"], b)
        if taus is not None:
            close(found.taus, taus)
    for found, (P, c) in zip(flow.projections, projections, strict=True):
        linear = nnx.to_pure_dict(found)["operation"]["linear"]
        close(linear["kernel"], P)
        close(linear["bias"], c)
    close(nnx.to_pure_dict(flow.head)["linear"]["kernel"], head[0])


@pytest.mark.parametrize("name", BLOCKS)
def test_gradient_is_the_product_of_the_factors_and_the_projection(name):
    """dL/dy[0] = dL/dy[L] F_L ... F_1 in each block, times P between the two."""
    made, flow = followed(name)
    (_, (P, _)), blocks, _ = weights_of(made)
    product = np.asarray(flow.blocks[-1].gradients[-1])
    for index in (1, 0):
        W, b, taus = (None if a is None else np.asarray(a) for a in blocks[index])
        path = np.asarray(flow.blocks[index].states)
        measured = chain_of(made.blocks[index]).each_step(jacobian, flow.blocks[index].states)
        for k in reversed(range(DEPTH)):
            slope = 1 - np.tanh(path[k] @ W[k] + b[k]) ** 2
            factor = slope[:, :, None] * W[k].T[None]
            if taus is not None:
                factor = np.eye(len(b[k])) + taus[k] * factor
            close(measured[k], factor)
            product = np.einsum("ei,eij->ej", product, factor)
            close(flow.blocks[index].gradients[k], product)
        if index:
            product = product @ np.asarray(P).T
            close(flow.blocks[0].gradients[-1], product)


@pytest.mark.parametrize("name", BLOCKS)
def test_factors_are_the_singular_values_of_the_jacobian(name):
    made, flow = followed(name)
    chain, path = chain_of(made.blocks[1]), flow.blocks[1].states
    W, b, taus = (None if a is None else np.asarray(a) for a in weights_of(made)[1][1])
    found = factors(chain, path)
    for k in range(DEPTH):
        slope = 1 - np.tanh(np.asarray(path)[k] @ W[k] + b[k]) ** 2
        derivative = slope[:, :, None] * W[k].T[None]
        factor = derivative if taus is None else np.eye(4) + TAUS[k] * derivative
        values = np.linalg.svd(factor, compute_uv=False)
        close(found.largest[k], values.max())
        close(found.smallest[k], values.min())
        close(found.mean[k], values.mean())
        if taus is None:
            assert found.branch is None
        else:
            branch = np.linalg.svd(TAUS[k] * derivative, compute_uv=False)
            close(found.branch[k], branch.max())


def test_power_iteration_finds_the_largest_singular_value_where_the_state_is_large(monkeypatch):
    made, flow = followed("residual")
    chain, path = chain_of(made.blocks[1]), flow.blocks[1].states
    exact = factors(chain, path)
    monkeypatch.setattr("odenet.analysis.layer_factors.EXACT_SIZE", 3)
    found = factors(chain, path)
    assert found.smallest is None
    assert found.mean is None
    np.testing.assert_allclose(found.largest, exact.largest, rtol=1e-2)
    np.testing.assert_allclose(found.branch, exact.branch, rtol=1e-2)
    assert np.all(np.asarray(found.largest) <= np.asarray(exact.largest) + 1e-12)
