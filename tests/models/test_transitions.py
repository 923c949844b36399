"""Layers between two shapes, against the same written out by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from fields.figure import by_hand, check_statistics, drawn, normalised
from flax import nnx

from odenet.models.transition import TransitionConfig

SHAPE, WIDTH, TAU = (5, 4, 4), 8, 0.75
STATES = np.random.default_rng(1).normal(size=(3, *SHAPE))

LETTERS = {
    "original": ("", "WBRWB", "R"),
    "batch_norm_after_addition": ("", "WBRW", "BR"),
    "relu_before_addition": ("", "WBRWBR", ""),
    "relu_only_preactivation": ("R", "WBRWB", ""),
    "full_preactivation": ("BR", "WBRW", ""),
}
"""Before the paths part, in the branch, after the sum."""

SHORTCUTS = {
    "option_a": {"kind": "zero_pad", "stride": 2},
    "option_b": {"kind": "conv", "kernel_size": 1, "stride": 2, "bias": False, "norm": "batch"},
}


def made(**options):
    config = TransitionConfig.model_validate({"step_sizes": {"tau": TAU}} | options)
    return drawn(nnx.eval_shape(lambda: config.build(SHAPE, WIDTH, rngs=nnx.Rngs(0))))


def around(layer, x, training):
    """The shortcut by hand: every second pixel, zeros or a matrix for the new channels."""
    pixels = x[:, ::2, ::2]
    operation = layer.unit.shortcut.projection.operation
    if hasattr(operation, "zeros"):
        return np.concatenate([pixels, np.zeros((*pixels.shape[:3], WIDTH - 4))], -1), ()
    y, moved = normalised(
        operation.norm, pixels @ np.asarray(operation.affine.kernel)[0, 0], training
    )
    return y, [(operation.norm, moved)]


def layer_by_hand(layer, letters, strides, x, training):
    """The next state, and pairs of norms and their statistics after it."""
    before, branch, after = letters
    pairs = []

    def through(part, order, x, strides=None):
        y, moved = by_hand(part, order, x, training, strides)
        pairs.extend(zip(part.norms, moved, strict=True))
        return y

    if before:
        x = through(layer.before, before, x)
    step = TAU * through(layer.unit.branch, branch, x, strides)
    passed, moved = around(layer, x, training)
    pairs.extend(moved)
    total = passed + step
    return (through(layer.unit.after, after, total) if after else total), pairs


def check_layer(projection, letters, strides, training):
    expected, pairs = layer_by_hand(projection.operation, letters, strides, STATES, training)
    found = projection(jnp.asarray(STATES), training=training)
    assert found.shape[1:] == projection.shape
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    check_statistics(*zip(*pairs, strict=True))


@pytest.mark.parametrize("shortcut", SHORTCUTS)
@pytest.mark.parametrize("arrangement", LETTERS)
def test_layer_equals_the_figure(arrangement, shortcut):
    field = {"kind": "residual", "arrangement": arrangement}
    for training in (False, True):
        projection = made(field=field, shortcut=SHORTCUTS[shortcut], stride=2)
        assert projection.shape == (3, 2, 8)
        check_layer(projection, LETTERS[arrangement], [2, 1], training)


@pytest.mark.parametrize(("place", "strides"), [(None, [2, 1, 1]), (2, [1, 2, 1])])
def test_stride_of_a_bottleneck_is_where_it_is_asked_for(place, strides):
    field = {"kind": "residual", "arrangement": "original", "unit": "bottleneck"}
    options = {"field": field, "shortcut": SHORTCUTS["option_b"], "stride": 2}
    check_layer(made(**options, strided_weight=place), ("", "WBRWBRWB", "R"), strides, True)


@pytest.mark.parametrize("arrangement", ["relu_only_preactivation", "full_preactivation"])
def test_activated_layer_has_nothing_before_its_first_weight(arrangement):
    field = {"kind": "residual", "arrangement": arrangement}
    options = {"field": field, "shortcut": SHORTCUTS["option_a"], "stride": 2, "activated": True}
    projection = made(**options)
    assert projection.operation.before is None
    check_layer(projection, ("", *LETTERS[arrangement][1:]), [2, 1], True)


@pytest.mark.torch
def test_layer_equals_pytorch():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    field = {"kind": "residual", "arrangement": "original"}
    projection = made(field=field, shortcut=SHORTCUTS["option_b"], stride=2)
    unit = projection.operation.unit

    def tensor(x):
        return torch.tensor(np.array(x))

    def convolve(x, kernel, stride):
        weight = tensor(kernel[...]).permute(3, 2, 0, 1)
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def norm(x, part):
        statistics = tensor(part.mean[...]), tensor(part.variance[...])
        affine = tensor(part.scale[...]), tensor(part.bias[...])
        y = F.batch_norm(x, *statistics, *affine, training=True, momentum=0.1, eps=1e-5)
        moved.append([part, statistics])
        return y

    moved = []
    x = tensor(STATES).permute(0, 3, 1, 2)
    (first, second), norms = unit.branch.weights, unit.branch.norms
    y = torch.relu(norm(convolve(x, first.kernel, 2), norms[0]))
    y = norm(convolve(y, second.kernel, 1), norms[1])
    shortcut = unit.shortcut.projection.operation
    y = torch.relu(norm(convolve(x, shortcut.affine.kernel, 2), shortcut.norm) + TAU * y)
    found = projection(jnp.asarray(STATES), training=True)
    np.testing.assert_allclose(found, y.permute(0, 2, 3, 1), rtol=1e-10, atol=1e-10)
    check_statistics(*zip(*moved, strict=True))


def test_shortcut_of_norm_relu_and_convolution_stands_beside_a_branch_with_its_own():
    # As in tutorials on pre-activation: the two paths part before anything acts.
    shortcut = {
        "kind": "conv", "kernel_size": 1, "stride": 2, "bias": False,
        "norm": "batch", "activation": "relu", "order": "norm_first",
    }  # fmt: skip
    field = {"kind": "residual", "arrangement": "full_preactivation"}
    for training in (False, True):
        projection = made(field=field, shortcut=shortcut, stride=2, shared=False)
        layer = projection.operation
        assert layer.before is None
        branch, moved = by_hand(layer.unit.branch, "BRWBRW", STATES, training, [2, 1])
        around = layer.unit.shortcut.projection.operation
        y, of_shortcut = normalised(around.norm, STATES, training)
        passed = np.maximum(y, 0)[:, ::2, ::2] @ np.asarray(around.affine.kernel)[0, 0]
        found = projection(jnp.asarray(STATES), training=training)
        np.testing.assert_allclose(found, passed + TAU * branch, rtol=1e-10, atol=1e-10)
        check_statistics([*layer.unit.branch.norms, around.norm], [*moved, of_shortcut])


def test_second_weight_may_change_the_shape():
    field = {"kind": "residual", "arrangement": "original"}
    options = {"strided_weight": 2, "widened_weight": 2}
    projection = made(field=field, shortcut=SHORTCUTS["option_a"], stride=2, **options)
    first, second = projection.operation.unit.branch.weights
    assert (first.kernel.shape, second.kernel.shape) == ((3, 3, 4, 4), (3, 3, 4, 8))
    check_layer(projection, LETTERS["original"], [1, 2], True)
