"""Gradients of reconstructed states against those of stored states, and what they cost."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numerics.cases import cases

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.symplectic import Leapfrog

CASES = {
    "per_layer": (64, 1),
    "shared_with_time": (1, 96),
    "several_steps_per_layer": (16, 5),
    "one_step": (1, 1),
}


def apply(params, t, h):
    return jnp.tanh(h @ params["w"] + t * params["b"]) @ params["v"]


@functools.cache
def arguments(num_layers, num_steps, width=4):
    draw = np.random.default_rng(0)
    params = {
        "w": draw.normal(size=(num_layers, width, width)) / np.sqrt(width),
        "b": draw.normal(size=(num_layers, 1, width)),
        "v": draw.normal(size=(num_layers, width, width)) / np.sqrt(width),
    }
    taus = draw.uniform(-0.05, 0.15, num_steps)
    h0 = draw.normal(size=(3, width))
    return jax.tree.map(jnp.asarray, (params, taus, h0))


def loss_of(remat, num_layers, save_path=False):
    """A loss that looks at the end, or at every state of the path."""

    def loss(params, taus, h0):
        fields, grid = LayerFields(apply, params, num_layers), DepthGrid(taus, num_layers)
        found = Leapfrog(remat).integrate(fields, grid, h0, save_path=save_path)
        seen = found.h1 if found.path is None else found.path
        weights = jnp.cos(jnp.arange(seen.size, dtype=seen.dtype)).reshape(seen.shape)
        return jnp.sum(weights * seen**2)

    return loss


def assert_close(ours, theirs, rtol=1e-10):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.max(np.abs(b)))


def both(transform, name, save_path=False):
    """What `transform` of the loss gives, with reconstructed and with stored states."""
    num_layers, per_layer = CASES[name]
    at = arguments(num_layers, num_layers * per_layer)
    return [
        jax.jit(transform(loss_of(remat, num_layers, save_path)))(*at)
        for remat in ("reversible", "none")
    ]


def every_gradient(loss):
    return jax.value_and_grad(loss, argnums=(0, 1, 2))


SEEN = [(name, seen) for name in CASES for seen in ("end", "path")]
ALWAYS = {
    ("per_layer", "end"),
    ("shared_with_time", "path"),
    ("several_steps_per_layer", "path"),
    ("one_step", "end"),
}


@pytest.mark.parametrize(("name", "seen"), cases(SEEN, ALWAYS))
def test_gradients_equal_those_of_stored_states(name, seen):
    ours, theirs = both(every_gradient, name, save_path=seen == "path")
    assert all(np.max(np.abs(leaf)) > 1e-5 for leaf in jax.tree.leaves(theirs))
    assert_close(ours, theirs)


def test_gradients_equal_under_vmap_over_weights_and_states():
    def mapped(loss):
        def one(scale, params, taus, h0):
            return every_gradient(loss)(jax.tree.map(lambda p: p * scale, params), taus, h0 * scale)

        return lambda *at: jax.vmap(lambda scale: one(scale, *at))(jnp.asarray([0.5, 1.0, 1.3]))

    ours, theirs = both(mapped, "several_steps_per_layer")
    assert_close(ours, theirs)


def test_parameters_that_a_function_has_captured_get_their_gradient():
    _, taus, h0 = arguments(1, 7)

    def loss(rate, remat):
        fields = LayerFields.from_function(lambda t, h: jnp.sin(rate * h + t))
        return jnp.sum(Leapfrog(remat).integrate(fields, DepthGrid(taus), h0).h1 ** 2)

    ours, theirs = (
        float(jax.jit(jax.grad(functools.partial(loss, remat=remat)))(1.3))
        for remat in ("reversible", "none")
    )
    assert abs(theirs) > 1e-3
    assert ours == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("order", ["reverse_over_reverse", "forward_over_reverse"])
def test_second_derivatives_equal_those_of_stored_states(order):
    def hessian_product(loss):
        def product(params, taus, h0):
            def slope(taus):
                return jax.grad(loss, argnums=1)(params, taus, h0)

            direction = jnp.cos(jnp.arange(taus.size, dtype=taus.dtype))
            if order == "forward_over_reverse":
                return jax.jvp(slope, (taus,), (direction,))[1]
            return jax.grad(lambda taus: jnp.vdot(slope(taus), direction))(taus)

        return product

    ours, theirs = both(hessian_product, "several_steps_per_layer")
    assert_close(ours, theirs)


def test_forward_mode_needs_stored_states():
    at = arguments(4, 4)
    tangents = jax.tree.map(jnp.ones_like, at)
    with pytest.raises(TypeError, match=r"no forward mode .* use remat=none"):
        jax.jvp(loss_of("reversible", 4), at, tangents)
    _, slope = jax.jit(functools.partial(jax.jvp, loss_of("none", 4)))(at, tangents)
    expected = jax.jit(jax.grad(loss_of("none", 4), (0, 1, 2)))(*at)
    expected = float(sum(np.sum(leaf) for leaf in jax.tree.leaves(expected)))
    assert float(slope) == pytest.approx(expected, rel=1e-12)


def test_reconstruction_keeps_single_precision_and_is_close_to_stored_states():
    at = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), arguments(64, 64))
    ours, theirs = (jax.jit(every_gradient(loss_of(m, 64)))(*at) for m in ("reversible", "none"))
    assert {leaf.dtype for leaf in jax.tree.leaves(ours)} == {np.dtype("float32")}
    assert_close(ours, theirs, rtol=1e-4)
