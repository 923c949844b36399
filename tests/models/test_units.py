"""He's five units under the scan of a block, against the figure written out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fields.figure import by_hand, check_statistics, drawn
from flax import nnx
from numerics.finite_differences import check_gradient

from odenet.models import DepthBlockConfig

LAYERS = 3
FIGURE = {
    "original": ("WBRWB", "R"),
    "batch_norm_after_addition": ("WBRW", "BR"),
    "relu_before_addition": ("WBRWBR", ""),
    "relu_only_preactivation": ("RWBRWB", ""),
    "full_preactivation": ("BRWBRW", ""),
}
"""Letters of the branch, and letters after the sum: (a) to (e)."""

FIGURE_3 = {
    "original": ("WBRWBRWB", "R"),
    "batch_norm_after_addition": ("WBRWBRW", "BR"),
    "relu_before_addition": ("WBRWBRWBR", ""),
    "relu_only_preactivation": ("RWBRWBRWB", ""),
    "full_preactivation": ("BRWBRWBRW", ""),
}
"""The same of bottlenecks."""


def made(arrangement, shape, unit="basic", **options):
    """A block with learned steps, every variable random in double precision."""
    field = {"kind": "residual", "arrangement": arrangement, "unit": unit}
    values = {"num_steps": LAYERS, "field": field, "step_sizes": {"kind": "learned"}} | options
    config = DepthBlockConfig.model_validate(values)
    return drawn(nnx.eval_shape(lambda: config.build(shape, rngs=nnx.Rngs(0))))


def layers_of(block):
    """The units of a block one by one, each with arrays of its own."""
    graphdef, state = nnx.split(block.weights.stacked)
    return [
        nnx.merge(graphdef, jax.tree.map(lambda leaf: leaf[k], state))  # noqa: B023
        for k in range(block.weights.num_layers)
    ]


def unit_by_hand(layer, letters, tau, h, training):
    """The next state, and the statistics of all norms of the unit."""
    branch, moved = by_hand(getattr(layer, "branch", layer), letters[0], h, training)
    total = h + tau * branch
    if not letters[1]:
        return total, moved
    total, more = by_hand(layer.after, letters[1], total, training)
    return total, moved + more


def norms_of(layer):
    after = getattr(layer, "after", None)
    return [*getattr(layer, "branch", layer).norms, *(after.norms if after else [])]


def units():
    """Every arrangement of both units; the shape of the state alternates outside of `product`."""
    shapes = {"image": (4, 3, 4), "vector": (4,)}
    for row, arrangement in enumerate(FIGURE):
        for column, unit in enumerate(["basic", "bottleneck"]):
            for number, (name, shape) in enumerate(shapes.items()):
                marks = () if (row + column + number) % 2 == 0 else pytest.mark.product
                id_ = f"{arrangement}-{unit}-{name}"
                yield pytest.param(arrangement, unit, shape, marks=marks, id=id_)


@pytest.mark.parametrize(("arrangement", "unit", "shape"), list(units()))
def test_block_of_units_equals_the_figure(arrangement, unit, shape):
    letters = (FIGURE if unit == "basic" else FIGURE_3)[arrangement]
    for training in (False, True):
        block = made(arrangement, shape, unit)
        h0 = np.random.default_rng(3).normal(size=(5, *shape))
        path, moved = [h0], []
        for tau, layer in zip(np.asarray(block.grid().taus), layers_of(block), strict=True):
            h, after = unit_by_hand(layer, letters, tau, path[-1], training)
            path.append(h)
            moved.append(after)
        found = block(jnp.asarray(h0), save_path=True, training=training)
        np.testing.assert_allclose(found.path, path, rtol=1e-10, atol=1e-10)
        assert found.stats.nfe == LAYERS
        for layer, after in zip(layers_of(block), moved, strict=True):
            check_statistics(norms_of(layer), after)


@pytest.mark.parametrize("remat", ["step", "sqrt"])
def test_rematerialised_units_are_the_same(remat):
    h0 = jnp.asarray(np.random.default_rng(3).normal(size=(5, 4)))
    plain = made("original", (4,))
    other = made("original", (4,), integrator={"kind": "euler", "remat": remat})
    np.testing.assert_allclose(other(h0, training=True).h1, plain(h0, training=True).h1, rtol=1e-12)
    for one, two in zip(layers_of(plain), layers_of(other), strict=True):
        check_statistics(norms_of(two), [(n.mean[...], n.variance[...]) for n in norms_of(one)])


def test_shared_unit_moves_its_statistics_to_the_mean_over_its_steps():
    block = made("original", (4,), weights={"kind": "shared"})
    (layer,) = layers_of(block)
    h, each = np.random.default_rng(3).normal(size=(5, 4)), []
    for tau in np.asarray(block.grid().taus):
        h, after = unit_by_hand(layer, FIGURE["original"], tau, h, True)
        each.append(after)
    found = block(jnp.asarray(np.random.default_rng(3).normal(size=(5, 4))), training=True)
    np.testing.assert_allclose(found.h1, h, rtol=1e-12)
    (moved,) = layers_of(block)
    check_statistics(norms_of(moved), np.mean(np.asarray(each), axis=0))


@pytest.mark.parametrize("arrangement", ["original", "batch_norm_after_addition"])
def test_gradient_through_units_equals_finite_differences(arrangement):
    graphdef, params, rest = nnx.split(made(arrangement, (4,)), nnx.Param, ...)
    h0 = jnp.asarray(np.random.default_rng(3).normal(size=(5, 4)))
    weights = jnp.asarray(np.random.default_rng(4).normal(size=(5, 4)))

    def loss(params):
        block = nnx.merge(graphdef, params, rest, copy=True)
        return jnp.vdot(weights, block(h0, training=True).h1)

    assert params["step_sizes"]["raw"].shape == (LAYERS,)
    check_gradient(loss, params)
