r"""`jax.grad` against the product of layer Jacobians, written out in numpy.

For a residual network $y_\ell = P_\ell y_{\ell-1} + \tau_\ell \sigma(W_\ell y_{\ell-1} + b_\ell)$
the gradient is $\partial L/\partial y_L \prod_j (P_j + \tau_j\,\partial a_j/\partial y_{j-1})$
times the derivative of one layer; without skip connections the $P_j$ are missing.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.precision import drawn

from odenet.depth.grid import DepthGrid
from odenet.depth.step_sizes import LearnedStepSizesConfig
from odenet.depth.weights import LayerFields
from odenet.integrators import ExplicitConfig
from odenet.models import DepthBlockConfig, FeedForwardBlockConfig, RegressorConfig

WIDTHS, DEPTH = (2, 4), 3
X = np.random.default_rng(0).normal(size=(2,))
TARGET = np.array([0.7, -0.2, 0.4])


def gradients(config):
    """Parameters and gradients of half the squared distance to the target, as plain dicts."""
    network = drawn(lambda: config.build((2,), 3, rngs=nnx.Rngs(0)), seed=11, scale=0.6)
    graphdef, params = nnx.split(network)

    def loss(params):
        outputs = nnx.merge(graphdef, params)(jnp.asarray(X)[None]).outputs
        return jnp.sum((outputs[0] - jnp.asarray(TARGET)) ** 2) / 2

    return nnx.to_pure_dict(params), nnx.to_pure_dict(jax.jit(jax.grad(loss))(params))


def layers_of(tree, skip):
    """Every layer as `(kind, W, b, tau)`, from the inputs to the outputs."""
    stem, head = tree["projections"][0]["operation"]["linear"], tree["head"]["linear"]
    layers = [("affine", stem["kernel"], stem["bias"], None)]
    for stage in range(len(WIDTHS)):
        if stage:
            projection = tree["projections"][stage]["operation"]["linear"]
            layers.append(("affine", projection["kernel"], projection["bias"], None))
        block = tree["blocks"][stage]
        affine = block["weights"]["stacked"]["affine"][0]
        for k in range(DEPTH):
            tau = float(block["step_sizes"]["raw"][k]) if skip else None
            kind = "residual" if skip else "plain"
            layers.append((kind, affine["kernel"][k], affine["bias"][k], tau))
    layers.append(("affine", head["kernel"], head["bias"], None))
    return [(kind, np.asarray(W).T, np.asarray(b), tau) for kind, W, b, tau in layers]


def jacobian(layer, y):
    """Output of one layer, its Jacobian in `y`, and its derivatives in `W`, `b` and `tau`."""
    kind, W, b, tau = layer
    z = W @ y + b
    if kind == "affine":
        slope, output, J, dtau = np.ones(len(b)), z, W, None
    else:
        sigma, factor = np.tanh(z), 1.0 if tau is None else tau
        slope = factor * (1 - np.tanh(z) ** 2)
        dadW = slope[:, None] * W
        J = dadW if tau is None else np.eye(len(b)) + dadW
        output = sigma if tau is None else y + tau * sigma
        dtau = None if tau is None else sigma
    dW = np.einsum("ij,i,k->ijk", np.eye(len(b)), slope, y)  # d output_i / d W_jk
    return output, J, dW, np.diag(slope), dtau


def gradients_by_product(layers):
    y, steps = X, []
    for layer in layers:
        y, *derivatives = jacobian(layer, y)
        steps.append(derivatives)
    dL_dy = y - TARGET
    result = []
    for index, (_, dW, db, dtau) in enumerate(steps):
        product = dL_dy  # dL/dy[L] * prod_{j=L}^{l+2} dy[j]/dy[j-1]
        for J, *_ in reversed(steps[index + 1 :]):
            product = product @ J
        result.append(
            (
                np.einsum("i,ijk->jk", product, dW),
                product @ db,
                None if dtau is None else product @ dtau,
            )
        )
    return result


def check(config, skip):
    params, grads = gradients(config)
    expected = gradients_by_product(layers_of(params, skip))
    reached = layers_of(grads, skip)
    assert len(reached) == len(expected) == 2 + len(WIDTHS) * DEPTH + len(WIDTHS) - 1
    for (_, W, b, tau), (dW, db, dtau) in zip(reached, expected, strict=True):
        assert np.max(np.abs(dW)) > 1e-4
        np.testing.assert_allclose(W, dW, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(b, db, rtol=1e-10, atol=1e-10)
        assert (tau is None) == (dtau is None)
        if dtau is not None:
            np.testing.assert_allclose(tau, dtau, rtol=1e-10, atol=1e-10)


def network(block):
    stages = [
        {"width": width} | ({"projection": {"kind": "linear"}} if index else {})
        for index, width in enumerate(WIDTHS)
    ]
    return RegressorConfig(stages=stages, block=block)


@pytest.mark.parametrize("remat", ["none", "step"])
def test_gradient_of_residual_network_with_projection_is_product_with_identity(remat):
    block = DepthBlockConfig(
        num_steps=DEPTH,
        step_sizes=LearnedStepSizesConfig(),
        integrator={"kind": "euler", "remat": remat},
    )
    check(network(block), skip=True)


def test_gradient_of_feedforward_network_with_projection_is_product_without_identity():
    check(network(FeedForwardBlockConfig(num_layers=DEPTH)), skip=False)


def test_adjoint_recursion_of_residual_layer_with_unequal_widths():
    """`y1 = P y0 + tau sigma(W y0 + b)` in the package: project, and pad the field with zeros."""
    rng = np.random.default_rng(4)
    P, W, b = rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), rng.normal(size=3)
    tau, y0, lam = 0.7, rng.normal(size=2), rng.normal(size=3)

    def layer(P, W, b, tau, y0):
        both = jnp.concatenate([P @ y0, y0])[None]

        def apply(params, t, h):
            W, b = params
            return jnp.pad(jnp.tanh(h[:, 3:] @ W.T + b[None]), ((0, 0), (0, 2)))

        fields = LayerFields(apply, (W[None], b[None]), 1)
        return ExplicitConfig().build().integrate(fields, DepthGrid(tau[None]), both).h1[0, :3]

    arguments = tuple(map(jnp.asarray, (P, W, b, tau, y0)))
    pullback = jax.jit(lambda lam, *arguments: jax.vjp(layer, *arguments)[1](lam))
    dP, dW, db, dtau, dy0 = pullback(lam, *arguments)
    z = W @ y0 + b
    slope = 1 - np.tanh(z) ** 2
    np.testing.assert_allclose(dy0, (P.T + tau * W.T @ np.diag(slope)) @ lam, rtol=1e-10)
    np.testing.assert_allclose(dtau, lam @ np.tanh(z), rtol=1e-10)
    np.testing.assert_allclose(dW, tau * np.outer(slope * lam, y0), rtol=1e-10)
    np.testing.assert_allclose(db, tau * slope * lam, rtol=1e-10)
    np.testing.assert_allclose(dP, np.outer(lam, y0), rtol=1e-10)
