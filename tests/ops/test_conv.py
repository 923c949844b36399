"""The convolution against XLA's own, in value and in every derivative."""

import functools
import itertools

import jax
import jax.numpy as jnp
import pytest
from against_xla import LAYOUTS, check, drawn, output_shape, theirs_and_ours
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jax import lax

from odenet.ops import patches, winograd
from odenet.ops.conv import conv_general_dilated
from odenet.ops.geometry import Geometry

TOLERANCE = {"float64": 1e-12, "float32": 3e-5, "bfloat16": 5e-2}


def derivatives(f, x, w, g, dx, dw, dg):
    """Value, tangent and cotangents, and the cotangents' own tangents and cotangents."""

    def cotangents(x, w, g):
        return jax.vjp(f, x, w)[1](g)

    first = jax.jvp(f, (x, w), (dx, dw))
    second = jax.jvp(cotangents, (x, w, g), (dx, dw, dg))
    return first, second, jax.vjp(cotangents, x, w, g)[1]((dx, dw))


@st.composite
def convolutions(draw):
    """Shapes, strides, padding, dilation and groups of any kind that leaves an output."""
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))
    axis = st.tuples(
        st.integers(1, 4),  # kernel
        st.integers(1, 3),  # stride
        st.integers(1, 2),  # dilation
        st.integers(-1, 3),
        st.integers(0, 3),
    )
    axes = draw(st.lists(axis, min_size=rank, max_size=rank))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    channels, outputs = (groups * draw(st.integers(1, 3)) for _ in range(2))
    sizes = []
    for kernel, _, dilation, low, high in axes:
        least = max(1, dilation * (kernel - 1) + 1 - low - high)
        sizes.append(draw(st.integers(least, least + 4)))
    batch = draw(st.integers(1, 5))
    kernel, strides, dilation = (tuple(a[i] for a in axes) for i in range(3))
    padding = tuple((a[3], a[4]) for a in axes)
    return (
        (batch, *sizes, channels),
        (*kernel, channels // groups, outputs),
        (strides, padding, dilation, groups),
    )


# Every example compiles: shrinking one would take longer than reading it.
@settings(max_examples=16, deadline=None, derandomize=True, phases=[Phase.generate])
@given(convolutions(), st.integers(0, 2**31 - 1))
def test_every_derivative_equals_that_of_xla(convolution, seed):
    x_shape, w_shape, options = convolution
    theirs, ours = theirs_and_ours(*options)
    y_shape = output_shape(theirs, x_shape, w_shape)
    arguments = drawn(seed, *(x_shape, w_shape, y_shape) * 2)
    both = jax.jit(lambda *a: [derivatives(f, *a) for f in (ours, theirs)])
    check(*both(*arguments), 1e-11)


CASES = {
    "winograd": ((9, 11, 10, 33), (3, 3, 33, 37), ((1, 1), "SAME")),
    "winograd_uneven_padding": ((16, 9, 8, 32), (3, 3, 32, 40), ((1, 1), ((2, 0), (1, 3)))),
    "winograd_valid": ((16, 9, 9, 32), (3, 3, 32, 32), ((1, 1), "VALID")),
    "pointwise": ((6, 5, 4, 7), (1, 1, 7, 9), ((1, 1), "SAME")),
    "pointwise_strided": ((3, 7, 6, 5), (1, 1, 5, 4), ((2, 3), ((1, 0), (-1, 2)))),
    "strided": ((6, 9, 8, 5), (4, 4, 5, 3), ((2, 2), ((1, 1), (1, 1)))),
    "dilated": ((5, 9, 8, 3), (3, 3, 3, 4), ((1, 1), "SAME", (2, 3))),
    "depthwise": ((5, 6, 6, 4), (3, 3, 1, 8), ((1, 1), "SAME", None, 4)),
    "blocks_and_a_rest": ((37, 40, 40, 16), (3, 3, 16, 3), ((1, 1), "SAME")),
    "large_kernel": ((3, 12, 12, 2), (9, 9, 2, 3), ((1, 1), "SAME")),
    "vector": ((4, 20, 3), (5, 3, 4), ((2,), "SAME")),
    "same_of_even_and_odd_sides": ((4, 8, 9, 3), (3, 3, 3, 5), ((2, 2), "SAME")),
    "same_of_a_first_layer": ((3, 14, 12, 2), (7, 7, 2, 4), ((2, 2), "SAME")),
    "volume": ((2, 5, 4, 6, 3), (3, 2, 3, 3, 2), ((1, 1, 1), "SAME")),
}


# Where hypothesis reaches the algorithm, it has seen it in double precision already.
IN_DOUBLE = (
    "winograd",
    "winograd_uneven_padding",
    "winograd_valid",
    "pointwise_strided",
    "blocks_and_a_rest",
)
IN_HALF = ("winograd", "pointwise_strided", "strided", "depthwise", "blocks_and_a_rest", "vector")
IN_TURN = {
    "float64": IN_DOUBLE,
    "float32": ("winograd", *(name for name in CASES if name not in (*IN_DOUBLE, *IN_HALF))),
    "bfloat16": IN_HALF,
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(name, dtype, marks=() if name in IN_TURN[dtype] else pytest.mark.product)
        for name, dtype in itertools.product(CASES, TOLERANCE)
        if dtype != "float64" or name in IN_DOUBLE
    ],
)
def test_each_algorithm_equals_xla_in_every_precision(name, dtype):
    x_shape, w_shape, options = CASES[name]
    theirs, ours = theirs_and_ours(*options)
    y_shape = output_shape(theirs, x_shape, w_shape)
    x, w, g = drawn(3, x_shape, w_shape, y_shape, dtype=dtype)

    def value_and_cotangents(f, x, w, g):
        value, pull = jax.vjp(f, x, w)
        return value, pull(g)

    both = jax.jit(lambda x, w, g: [value_and_cotangents(f, x, w, g) for f in (ours, theirs)])
    check(*both(x, w, g), TOLERANCE[dtype])


def test_cases_reach_the_algorithm_that_names_them():
    def geometry_of(name):
        x_shape, w_shape, (strides, padding, *_) = CASES[name]
        if isinstance(padding, str):
            padding = tuple(lax.padtype_to_pads(x_shape[1:-1], w_shape[:-2], strides, padding))
        geometry = Geometry(x_shape[1:-1], w_shape[:-2], strides, padding, (1, 1))
        return jnp.zeros(x_shape), jnp.zeros(w_shape), geometry

    for name, expected in (
        ("winograd", True),
        ("winograd_uneven_padding", True),
        ("winograd_valid", True),
        ("pointwise", False),
        ("strided", False),
    ):
        assert winograd.wins(*geometry_of(name)) == expected
    x, _, geometry = geometry_of("blocks_and_a_rest")
    block, number = patches._blocks(x.astype(jnp.float32), geometry)
    assert number > 1
    assert block * number > 37


@pytest.mark.parametrize("wrapped", ["remat", "scan", "fori"])
def test_derivatives_inside_loops_and_remat(wrapped):
    theirs, ours = theirs_and_ours((1, 1), "SAME")
    x, w = drawn(7, (4, 6, 6, 3), (3, 3, 3, 3))

    def loss(f, x, w):
        def step(h):
            return h + 0.1 * jnp.tanh(f(h, w))

        if wrapped == "remat":
            h = jax.checkpoint(step)(jax.checkpoint(step)(x))
        elif wrapped == "scan":
            h = lax.scan(lambda h, _: (step(h), None), x, None, length=4)[0]
        else:
            h = lax.fori_loop(0, 4, lambda _, h: step(h), x)
        return jnp.sum(h**2)

    gradients = [
        jax.jit(jax.grad(functools.partial(loss, f), (0, 1)))(x, w) for f in (ours, theirs)
    ]
    check(*gradients, 1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"lhs_dilation": (2, 2)},
        {"precision": lax.Precision.HIGHEST},
        {"dimension_numbers": ("NCHW", "OIHW", "NCHW")},
        {"dimension_numbers": None},
        {"preferred_element_type": jnp.float64},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_is_left_to_xla_is_xla(options):
    x, w = drawn(11, (4, 4, 4, 4), (4, 4, 4, 4))
    options = {"dimension_numbers": LAYOUTS[2], "padding": ((1, 1), (1, 1))} | options
    jaxpr = jax.make_jaxpr(lambda x, w: conv_general_dilated(x, w, (1, 1), **options))(x, w)
    assert [equation.primitive.name for equation in jaxpr.eqns] == ["conv_general_dilated"]


def test_other_platforms_lower_to_the_convolutions_of_xla():
    theirs, ours = theirs_and_ours((1, 1), "SAME")
    x, w = drawn(13, (16, 8, 8, 32), (3, 3, 32, 32), dtype="float32")

    def lowered(f, platform):
        def both(x, w):
            return jax.vjp(f, x, w)[1](jnp.ones_like(f(x, w)))

        return jax.jit(both).trace(x, w).lower(lowering_platforms=(platform,)).as_text()

    for platform in ("cuda", "tpu"):
        counts = [lowered(f, platform).count("stablehlo.convolution") for f in (ours, theirs)]
        assert counts[0] == counts[1] > 0
        assert "stablehlo.dot" not in lowered(ours, platform)
    assert "stablehlo.dot_general" in lowered(ours, "cpu")


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options"),
    [
        ((2, 4, 4, 3), (3, 3, 4, 5), {}),
        ((2, 4, 4, 3), (3, 3, 3), {}),
        ((2, 4, 4, 3), (3, 3, 3, 5), {"window_strides": (1,)}),
        ((2, 4, 4, 4), (3, 3, 2, 5), {"feature_group_count": 2}),
    ],
)
def test_shapes_that_do_not_fit_are_refused_as_by_jax(x_shape, w_shape, options):
    options = {"window_strides": (1, 1), "dimension_numbers": LAYOUTS[2]} | options
    x, w = jnp.zeros(x_shape), jnp.zeros(w_shape)
    messages = []
    for f in (lax.conv_general_dilated, conv_general_dilated):
        with pytest.raises((ValueError, TypeError)) as error:
            f(x, w, padding="SAME", **options)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_operands_of_two_types_are_refused():
    x, w = jnp.zeros((1, 4, 4, 1)), jnp.zeros((3, 3, 1, 1), jnp.float32)
    with pytest.raises(TypeError):
        conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=LAYOUTS[2])


def test_nothing_is_computed_for_an_empty_batch():
    _, ours = theirs_and_ours((1, 1), "SAME")
    assert ours(jnp.zeros((0, 4, 4, 2)), jnp.zeros((3, 3, 2, 5))).shape == (0, 4, 4, 5)
