"""Layers between two shapes, against the same written out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fields.figure import by_hand, check_statistics, drawn, normalised
from flax import nnx
from numerics.finite_differences import check_gradient
from pydantic import ValidationError

from odenet.errors import ConfigError
from odenet.models import ClassifierConfig, init_network
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


def made(shape=SHAPE, width=WIDTH, **options):
    config = TransitionConfig.model_validate({"step_sizes": {"tau": TAU}} | options)
    return drawn(config.build(shape, width, rngs=nnx.Rngs(0)))


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


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize(("inputs", "width"), [(3, 5), (5, 3)])
def test_simplified_layer_adds_a_matrix_times_the_state(inputs, width, learned):
    # Antil, Diaz and Herberg 2022, sec. 4: y = P y + tau sigma(W y + b), W of any shape.
    shortcut = {"kind": "matrix", "learned": learned}
    projection = made((inputs,), width, field={"kind": "mlp"}, shortcut=shortcut)
    unit = projection.operation.unit
    W, b = (np.asarray(p[...]) for p in (unit.branch.affine[0].kernel, unit.branch.affine[0].bias))
    P = np.asarray(unit.shortcut.projection.operation.kernel[...])
    assert W.shape == P.shape == (inputs, width)
    y = np.random.default_rng(1).normal(size=(4, inputs))
    expected = y @ P + TAU * np.tanh(y @ W + b)
    np.testing.assert_allclose(projection(jnp.asarray(y)), expected, rtol=1e-12)


def test_step_size_of_a_layer_is_learned_and_its_penalty_counted_once():
    learned = {"kind": "learned", "penalty": {"l2": 2.0}}
    fixed = {"kind": "fixed", "taus": [0.5, 0.25]}
    layer = {
        "kind": "unit",
        "field": {"kind": "mlp"},
        "shortcut": {"kind": "matrix"},
        "step_sizes": learned,
    }
    config = ClassifierConfig.model_validate(
        {
            "stages": [{"width": 4}, {"width": 3, "projection": layer}],
            "block": {"num_steps": 2, "step_sizes": fixed},
        }
    )
    network = drawn(init_network(config, (2,), 3, jax.random.key(0)))
    tau = float(network.projections[1].operation.step_sizes.raw[0])
    np.testing.assert_allclose(network.penalty(), 2 * tau**2)
    taus = [np.asarray(each) for each in network.taus()]
    np.testing.assert_allclose(taus[0], [0.5, 0.25])
    np.testing.assert_allclose(taus[1], [tau, 0.5, 0.25])

    graphdef, params, rest = nnx.split(network, nnx.Param, ...)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(4, 2)))

    def loss(raw):
        state = nnx.merge(graphdef, params, rest, copy=True)
        state.projections[1].operation.step_sizes.raw[...] = raw
        return jnp.sum(state(x).outputs ** 2) + state.penalty()

    raw = params["projections"][1]["operation"]["step_sizes"]["raw"][...]
    assert float(jnp.abs(jax.grad(loss)(raw)[0])) > 1e-3
    check_gradient(loss, raw)


def test_first_stage_may_have_a_layer_of_its_own():
    layer = {"kind": "unit", "field": {"kind": "mlp"}, "shortcut": {"kind": "matrix"}}
    values = {"stages": [{"width": 4, "projection": layer}], "block": {"num_steps": 1}}
    config = ClassifierConfig.model_validate(values | {"stem_width": 6})
    network = init_network(config, (2,), 3, jax.random.key(0))
    stem, own = network.projections[0].operation.stem, network.projections[0].operation.projection
    x = jnp.ones((1, 2), jnp.float32)
    assert (stem.shape, own.shape) == ((6,), (4,))
    np.testing.assert_array_equal(network.projections[0](x), own(stem(x)))
    with pytest.raises(ValidationError, match=r"stem_width would be ignored.*remove it"):
        ClassifierConfig.model_validate({"stem_width": 6, "stages": [{"width": 4}]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 2}, r"shape \(8, 8, 4\).*without a projection"),
        (
            {"stride": 2, "shortcut": {"kind": "zero_pad"}},
            r"kind=zero_pad maps .* to \(8, 8, 8\), the branch to \(4, 4, 8\).*the same stride",
        ),
        ({"shortcut": {"kind": "scaled", "factor": 0.5}}, "keeps the width 4.*the branch has 8"),
        ({"shortcut": {"kind": "matrix"}}, "kind=matrix acts on vectors"),
        ({"field": {"kind": "conv"}}, r"keeps the shape of its state.*kind=mlp \(vectors\) or res"),
        (
            {"stride": 2, "strided_weight": 3, "shortcut": {"kind": "zero_pad", "stride": 2}},
            "unit=basic has 2 weights, so strided_weight=3 does not",
        ),
        (
            {
                "activated": True,
                "field": {"kind": "residual", "arrangement": "original"},
                "shortcut": {"kind": "zero_pad"},
            },
            "activated=true would be ignored",
        ),
        (
            {"field": {"kind": "residual", "last_init": "1/L"}, "shortcut": {"kind": "zero_pad"}},
            "last_init=1/L would be ignored",
        ),
        (
            {"step_sizes": {"taus": [1, 2]}, "shortcut": {"kind": "zero_pad"}},
            "taus needs one value per step: num_steps is 1, got 2",
        ),
    ],
)
def test_layers_that_do_not_fit_name_their_stage(options, message):
    config = ClassifierConfig.model_validate(
        {
            "stem": {"kind": "conv"},
            "stages": [{"width": 4}, {"width": 8, "projection": {"kind": "unit"} | options}],
            "block": {"num_steps": 1, "field": {"kind": "residual"}},
        }
    )
    with pytest.raises(ConfigError, match=rf"model\.stages\.1\.projection: .*{message}"):
        nnx.eval_shape(lambda: config.build((8, 8, 1), 3, rngs=nnx.Rngs(0)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strided_weight": 2}, "stride=1 would ignore strided_weight"),
        (
            {"step_sizes": {"kind": "learned", "parametrisation": "simplex"}},
            "nothing would be learned",
        ),
        ({"shortcut": {"kind": "scaled", "factor": 1.0}}, "factor=1 is the identity"),
    ],
)
def test_options_without_effect_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        TransitionConfig.model_validate(options)


@pytest.mark.parametrize(
    ("field", "shape", "options", "message"),
    [
        ("mlp", (4,), {"stride": 2}, "a vector has no rows to skip, so stride=2 would be ignored"),
        ("residual", (4, 4), {}, "acts on vectors"),
    ],
)
def test_states_that_a_layer_cannot_take_are_refused(field, shape, options, message):
    config = TransitionConfig.model_validate({"field": {"kind": field}} | options)
    with pytest.raises(ConfigError, match=message):
        config.build(shape, 4, rngs=nnx.Rngs(0))


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shared": False, "field": {"kind": "residual", "arrangement": "original"}}, "no norm"),
        ({"shared": False, "activated": True}, "keep one"),
        ({"shared": False, "field": {"kind": "mlp"}}, "kind=mlp would ignore shared"),
        ({"widened_weight": 2, "field": {"kind": "residual", "unit": "bottleneck"}}, "basic units"),
        ({"shortcut": {"kind": "conv", "order": "norm_first"}}, "needs a norm or an activation"),
    ],
)
def test_options_of_shapes_that_would_be_ignored_are_refused(options, message):
    with pytest.raises((ConfigError, ValidationError), match=message):
        made(**options)
