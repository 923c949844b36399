"""What goes around a branch: table 1 of He et al. 2016, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fields.figure import drawn
from flax import nnx
from pydantic import ValidationError

from odenet.models import DepthBlockConfig
from odenet.models.shortcuts import DropoutConfig

LAYERS, WIDTH = 3, 4
H0 = np.random.default_rng(1).normal(size=(5, WIDTH))
MLP = {"kind": "mlp"}


def config(shortcut, **options):
    values = {"num_steps": LAYERS, "field": MLP, "step_sizes": {"kind": "learned"}}
    return DepthBlockConfig.model_validate(values | {"shortcut": shortcut} | options)


def made(shortcut, shape=(WIDTH,), **options):
    of = config(shortcut, **options)
    return drawn(nnx.eval_shape(lambda: of.build(shape, rngs=nnx.Rngs(0))))


def arrays(block, *names):
    """Arrays of all layers, from the stack."""
    values = nnx.to_pure_dict(nnx.state(block.weights.stacked))
    for name in names:
        values = values[name]
    return np.asarray(values)


def by_hand(block, around):
    """All states, with `around(k, h, step)` for the sum of layer `k`."""
    W, b = (arrays(block, "branch", "affine", 0, name) for name in ("kernel", "bias"))
    path = [H0]
    for k, tau in enumerate(np.asarray(block.grid().taus)):
        path.append(around(k, path[-1], tau * np.tanh(path[-1] @ W[k] + b[k])))
    return np.stack(path)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_scaled_state_is_that_of_equation_6():
    block = made({"kind": "scaled", "factor": 0.5})
    expected = by_hand(block, lambda k, h, step: 0.5 * h + step)
    np.testing.assert_allclose(block(jnp.asarray(H0), save_path=True).path, expected, rtol=1e-12)


def test_scalings_multiply_through_the_shortcut():
    # Equation 8: with 54 units, as in the ResNet-110 of table 1, nothing is left of a half.
    options = {"num_steps": 54, "field": MLP | {"last_init": "zero"}, "step_sizes": {"tau": 1.0}}
    shortcut = {"kind": "scaled", "factor": 0.5}
    block = config(shortcut, **options).build((WIDTH,), rngs=nnx.Rngs(0))
    h0 = jnp.asarray(H0, jnp.float32)
    gradient = jax.grad(lambda h: jnp.sum(block(h).h1))(h0)
    np.testing.assert_array_equal(gradient, np.full(H0.shape, 0.5**54, np.float32))
    np.testing.assert_array_equal(block(h0).h1, h0 * np.float32(0.5**54))


@pytest.mark.parametrize("exclusive", [True, False])
def test_gate_closes_the_shortcut_and_opens_the_branch_if_exclusive(exclusive):
    block = made({"kind": "gated", "exclusive": exclusive})
    W, b = (arrays(block, "shortcut", "gate", name) for name in ("kernel", "bias"))

    def around(k, h, step):
        gate = sigmoid(h @ W[k] + b[k])
        return (1 - gate) * h + (gate * step if exclusive else step)

    expected = by_hand(block, around)
    np.testing.assert_allclose(block(jnp.asarray(H0), save_path=True).path, expected, rtol=1e-12)


def test_gate_of_images_is_a_convolution_and_starts_at_its_bias():
    field = {"kind": "residual"}
    shortcut = {"kind": "gated", "bias": -3.0}
    block = config(shortcut, field=field).build((3, 3, WIDTH), rngs=nnx.Rngs(0))
    assert arrays(block, "shortcut", "gate", "kernel").shape == (LAYERS, 1, 1, WIDTH, WIDTH)
    np.testing.assert_array_equal(
        arrays(block, "shortcut", "gate", "bias"), np.full((LAYERS, WIDTH), -3.0)
    )


def test_matrix_around_every_layer_is_option_c_of_vectors():
    block = made({"kind": "matrix", "learned": True})
    P = arrays(block, "shortcut", "projection", "operation", "kernel")
    expected = by_hand(block, lambda k, h, step: h @ P[k] + step)
    np.testing.assert_allclose(block(jnp.asarray(H0), save_path=True).path, expected, rtol=1e-12)


def test_convolution_around_every_layer_is_option_c():
    shortcut = {"kind": "conv", "kernel_size": 1, "bias": False}
    field = {"kind": "residual", "last_init": "zero"}
    block = config(shortcut, field=field).build((3, 3, WIDTH), rngs=nnx.Rngs(0))
    kernels = arrays(block, "shortcut", "projection", "operation", "kernel")[:, 0, 0]
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3, 3, WIDTH)), jnp.float32)
    expected = np.asarray(x) @ kernels[0] @ kernels[1] @ kernels[2]
    np.testing.assert_allclose(block(x).h1, expected, rtol=1e-4, atol=1e-5)


def dropped(**options):
    """A block of layers that do nothing but drop out, in single precision."""
    field = MLP | {"last_init": "zero"}
    options = {"field": field, "step_sizes": {"tau": 1.0}} | options
    return config({"kind": "dropout", "rate": 0.25}, **options).build((512,), rngs=nnx.Rngs(0))


def test_dropout_keeps_the_mean_and_draws_anew_in_every_layer_and_step():
    ones = jnp.ones((64, 512), jnp.float32)
    block = dropped()
    first = block(ones, save_path=True, training=True).path
    factors = np.asarray(first[1:] / jnp.where(first[:-1] == 0, 1, first[:-1]))
    # Of a first layer all is seen: each component is dropped, or scaled by 1 / (1 - rate).
    assert set(np.unique(factors[0])) == {0, np.float32(1 / 0.75)}
    std = np.sqrt(0.25 / 0.75 / factors[0].size)
    assert abs(factors[0].mean() - 1) < 5 * std
    kept = np.asarray(first[1] != 0)
    layers = [kept_by_layer(block, index, ones) for index in range(LAYERS)]
    pairs = [(0, 1), (0, 2), (1, 2)]
    drawn = [(layers[i], layers[j]) for i, j in pairs] + [(kept, layers[0]), (kept[:32], kept[32:])]
    for one, other in drawn:
        # Two independent draws agree in 0.75^2 + 0.25^2 of the components.
        assert abs(np.mean(one == other) - 0.625) < 5 * np.sqrt(0.625 * 0.375 / one.size)


def kept_by_layer(block, index, ones):
    """What one layer alone keeps in its next step."""
    graphdef, state = nnx.split(block.weights.stacked)
    layer = nnx.merge(graphdef, jax.tree.map(lambda leaf: leaf[index], state), copy=True)
    return np.asarray(layer.with_batch_statistics(jnp.ones((), jnp.float32), ones) != 0)


def test_dropout_draws_the_same_from_the_same_start_and_none_in_evaluation():
    ones = jnp.ones((3, 512), jnp.float32)
    one, other = dropped(), dropped()
    for _ in range(2):
        np.testing.assert_array_equal(one(ones, training=True).h1, other(ones, training=True).h1)
    before = arrays(one, "shortcut", "count")
    np.testing.assert_array_equal(before, np.full(LAYERS, 2.0))
    np.testing.assert_array_equal(one(ones).h1, ones)
    np.testing.assert_array_equal(arrays(one, "shortcut", "count"), before)


def test_dropout_adds_its_branch_whole():
    shortcut = DropoutConfig(rate=0.5).build((WIDTH,), WIDTH, rngs=nnx.Rngs(0))
    h, step = jnp.ones((2, WIDTH)), jnp.full((2, WIDTH), 10.0)
    assert set(np.unique(shortcut.with_batch_statistics(h, step))) <= {10.0, 12.0}
    np.testing.assert_array_equal(shortcut(h, step), np.full((2, WIDTH), 11.0))


@pytest.mark.parametrize(
    ("shortcut", "options", "message"),
    [
        ({"kind": "zero_pad"}, {}, "zero_pad would add nothing; use identity"),
        ({"kind": "scaled", "factor": 1}, {}, "factor=1 is the identity"),
        ({"kind": "scaled"}, {}, "factor"),
        ({"kind": "dropout", "rate": 1}, {}, "less than 1"),
        ({"kind": "dropout"}, {"weights": {"kind": "shared"}}, "3 steps over 1 layers would share"),
        ({"kind": "gated"}, {"weights": {"kind": "shared_with_time"}}, "a layer has no time"),
    ],
)
def test_shortcuts_without_effect_or_sense_are_refused(shortcut, options, message):
    with pytest.raises(ValidationError, match=message):
        config(shortcut, **options)
