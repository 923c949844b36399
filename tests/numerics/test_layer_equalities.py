"""An explicit Euler step is a residual layer, and diffrax's Euler takes the same steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.cases import cases
from numerics.methods import fixed_diffrax
from numerics.precision import drawn

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import FieldStack
from odenet.fields import MLPFieldConfig
from odenet.integrators import ExplicitConfig
from odenet.models import DepthBlockConfig

WIDTH = 3
EULER, DIFFRAX = ExplicitConfig().build(), fixed_diffrax("euler").build()
MLP = MLPFieldConfig()


STACK = drawn(
    lambda: FieldStack(
        lambda takes_time, rngs: MLP.build((WIDTH,), takes_time, rngs=rngs),
        64,
        False,
        rngs=nnx.Rngs(0),
    ),
    seed=5,
)
FIELDS = STACK.fields()
KERNELS = np.asarray(STACK.stacked.affine[0].kernel[...])
BIASES = np.asarray(STACK.stacked.affine[0].bias[...])


@jax.jit
def both(taus, fields, h0):
    grid = DepthGrid(taus, fields.num_layers)
    return [method.integrate(fields, grid, h0, save_path=True) for method in (EULER, DIFFRAX)]


def residual_network(taus, h0):
    states = [h0]
    for tau, kernel, bias in zip(taus, KERNELS, BIASES, strict=False):
        states.append(states[-1] + tau * np.tanh(states[-1] @ kernel + bias))
    return np.stack(states)


def first_layers(num_layers):
    params = jax.tree.map(lambda leaf: np.asarray(leaf)[:num_layers], FIELDS.params)
    return type(FIELDS)(FIELDS.apply, params, num_layers)


@pytest.mark.parametrize("num_layers", cases(range(1, 65), {1, 2, 13, 64}))
def test_euler_diffrax_and_handwritten_residual_network_agree(num_layers):
    rng = np.random.default_rng(num_layers)
    h0 = rng.normal(size=(2, WIDTH))
    fields = first_layers(num_layers)
    for taus in (np.ones(num_layers), rng.uniform(-0.5, 1.5, num_layers)):
        by_hand = residual_network(taus, h0)
        for integration in both(jnp.asarray(taus), fields, jnp.asarray(h0)):
            assert integration.path.shape == (num_layers + 1, 2, WIDTH)
            np.testing.assert_allclose(integration.path, by_hand, rtol=1e-12, atol=1e-12)
            np.testing.assert_array_equal(integration.h1, np.asarray(integration.path)[-1])
            assert int(integration.stats.nfe) == int(integration.stats.accepted) == num_layers
            assert int(integration.stats.rejected) == 0
            assert bool(integration.stats.success)


@pytest.mark.parametrize("num_layers", cases([1, 2, 5, 12], {1, 5}))
def test_several_steps_per_layer_agree_with_handwritten_loop(num_layers):
    per_layer = 3
    rng = np.random.default_rng(num_layers)
    h = h0 = rng.normal(size=(2, WIDTH))
    taus = rng.uniform(0.1, 0.5, num_layers * per_layer)
    for step, tau in enumerate(taus):
        layer = step // per_layer
        h = h + tau * np.tanh(h @ KERNELS[layer] + BIASES[layer])
    for integration in both(jnp.asarray(taus), first_layers(num_layers), jnp.asarray(h0)):
        np.testing.assert_allclose(integration.h1, h, rtol=1e-12, atol=1e-12)
        assert int(integration.stats.accepted) == num_layers * per_layer


LAYERS = {
    "inside": lambda h, tau, W, b, sigma: h + tau * sigma(h @ W + b),
    "outside": lambda h, tau, W, b, sigma: h + tau * (sigma(h) @ W + b),
}


@pytest.mark.parametrize(
    ("activation", "sigma"), [("relu", lambda x: np.maximum(x, 0)), ("sin", np.sin)]
)
@pytest.mark.parametrize("form", LAYERS)
def test_simplified_layers_equal_their_equations(form, activation, sigma):
    taus = (0.7, -0.3, 1.0)
    config = DepthBlockConfig.model_validate(
        {
            "num_steps": 3,
            "field": {"form": form, "activation": activation},
            "step_sizes": {"taus": taus},
        }
    )
    block = drawn(lambda: config.build((WIDTH,), rngs=nnx.Rngs(0)), seed=2)
    affine = block.weights.stacked.affine[0]
    h0 = np.random.default_rng(0).normal(size=(4, WIDTH))
    states = [h0]
    for tau, W, b in zip(taus, affine.kernel[...], affine.bias[...], strict=True):
        states.append(LAYERS[form](states[-1], tau, np.asarray(W), np.asarray(b), sigma))
    path = block(jnp.asarray(h0), save_path=True).path
    np.testing.assert_allclose(path, np.stack(states), rtol=1e-12, atol=1e-13)
