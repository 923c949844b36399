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
from odenet.errors import ConfigError
from odenet.fields import ConvFieldConfig
from odenet.models import (
    ClassifierConfig,
    DepthBlockConfig,
    FeedForwardBlockConfig,
    RegressorConfig,
)

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


FIELDS = {
    "mlp": ({"kind": "mlp", "form": "between", "hidden": [3]}, (3,), {"kind": "linear"}),
    "conv": (ConvFieldConfig(num_convolutions=1, num_groups=1), (3, 3, 1), {"kind": "conv"}),
    "hamiltonian": ({"kind": "hamiltonian"}, (3,), {"kind": "linear"}),
    "two_layer_hamiltonian": ({"kind": "two_layer_hamiltonian"}, (3,), {"kind": "linear"}),
}
WEIGHTS = {
    "per_layer": {"kind": "per_layer", "num_layers": 2},
    "shared": {"kind": "shared"},
    "shared_with_time": {"kind": "shared_with_time"},
}


@pytest.mark.parametrize(
    ("field", "weights", "integrator"),
    [
        ("mlp", "shared_with_time", "rk4"),
        ("conv", "shared", "euler"),
        ("hamiltonian", "per_layer", "symplectic_euler"),
        ("two_layer_hamiltonian", "shared_with_time", "verlet"),
        pytest.param("mlp", "per_layer", "euler", marks=pytest.mark.product),
        pytest.param("conv", "shared_with_time", "euler", marks=pytest.mark.product),
    ],
)
def test_fields_weights_and_methods_give_the_gradients_of_jax(field, weights, integrator):
    """Here the package itself is differentiated: what is new is the way the gradient is taken."""
    chosen, shape, stem = FIELDS[field]
    block = DepthBlockConfig(
        num_steps=4,
        field=chosen,
        weights=WEIGHTS[weights],
        step_sizes=LearnedStepSizesConfig(horizon=2.0),
        integrator={"kind": integrator, "remat": "sqrt"},
    )
    config = ClassifierConfig(stem=stem, stages=[{"width": 2}], block=block)
    made = drawn(lambda: config.build(shape, 3, rngs=nnx.Rngs(0)), seed=5, scale=0.5)
    x = jnp.asarray(np.random.default_rng(6).normal(size=(BATCH, *shape)))
    graphdef, params = nnx.split(made)

    @jax.jit
    @jax.value_and_grad
    def value(params):
        return loss(nnx.merge(graphdef, params)(x).outputs)

    expected, wanted = value(params)
    wanted = nnx.to_pure_dict(wanted)
    flow = jax.jit(lambda: gradient_flow(made, loss, x))()
    close(flow.loss, expected)
    of_block = wanted["blocks"][0]
    close(flow.blocks[0].taus, of_block["step_sizes"]["raw"])
    jax.tree.map(close, nnx.to_pure_dict(flow.blocks[0].weights), of_block["weights"]["stacked"])
    jax.tree.map(close, nnx.to_pure_dict(flow.projections[0]), wanted["projections"][0])
    jax.tree.map(close, nnx.to_pure_dict(flow.head), wanted["head"])


@pytest.mark.parametrize(
    ("integrator", "message"),
    [
        ({"kind": "dopri5"}, "AdaptiveRungeKutta; .* model.block.integrator.kind=euler"),
        ({"kind": "diffrax"}, "Diffrax; .* model.block.integrator.kind=euler"),
        ({"kind": "leapfrog"}, "Leapfrog; .* after training with it"),
        ({"kind": "reversible_rk"}, "ReversibleRungeKutta; .* model.block.integrator.kind=euler"),
    ],
)
def test_integrators_without_a_factor_for_each_step_are_refused(integrator, message):
    block = DepthBlockConfig(num_steps=2, integrator=integrator)
    made = RegressorConfig(stages=[{"width": 2}], block=block).build((2,), 3, rngs=nnx.Rngs(0))
    with pytest.raises(ConfigError, match=message):
        gradient_flow(made, loss, X)


def test_layers_that_are_no_steps_and_layers_between_shapes_give_the_gradients_of_jax():
    layer = {
        "kind": "unit",
        "field": {"kind": "mlp"},
        "shortcut": {"kind": "matrix", "learned": True},
    }
    config = RegressorConfig.model_validate(
        {
            "stages": [{"width": 2}, {"width": 4, "projection": layer}],
            "block": {
                "num_steps": 3,
                "shortcut": {"kind": "gated"},
                "step_sizes": {"kind": "learned"},
            },
        }
    )
    made = drawn(lambda: config.build((2,), 3, rngs=nnx.Rngs(0)), seed=5, scale=0.5)
    graphdef, params = nnx.split(made)
    gradient = jax.jit(jax.grad(lambda params: loss(nnx.merge(graphdef, params)(X).outputs)))
    wanted = nnx.to_pure_dict(gradient(params))
    flow = jax.jit(lambda: gradient_flow(made, loss, X))()
    for index, (block, projection) in enumerate(zip(flow.blocks, flow.projections, strict=True)):
        of_block = wanted["blocks"][index]
        close(block.taus, of_block["step_sizes"]["raw"])
        jax.tree.map(close, nnx.to_pure_dict(block.weights), of_block["weights"]["stacked"])
        jax.tree.map(close, nnx.to_pure_dict(projection), wanted["projections"][index])


def test_dropout_around_layers_is_refused():
    block = DepthBlockConfig(num_steps=2, shortcut={"kind": "dropout"})
    made = RegressorConfig(stages=[{"width": 2}], block=block).build((2,), 3, rngs=nnx.Rngs(0))
    with pytest.raises(ConfigError, match=r"not followed through shortcut\.kind=dropout"):
        gradient_flow(made, loss, X)


@pytest.mark.parametrize("kind", ["data_controlled", "depth_adaptive"])
def test_gradient_is_not_followed_through_fields_that_take_the_first_state(kind):
    config = DepthBlockConfig.model_validate({"field": {"kind": kind}})
    with pytest.raises(ConfigError, match="depends on its initial state at every depth"):
        chain_of(config.build((2,), rngs=nnx.Rngs(0)))
