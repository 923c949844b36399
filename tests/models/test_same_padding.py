"""Padding of Flax and TensorFlow at strided convolutions, against `jax.lax` and `flax.nnx`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fields.figure import drawn
from flax import nnx
from jax import lax
from pydantic import ValidationError

from odenet.models import ResNetConfig
from odenet.models.projections import ConvConfig
from odenet.models.transition import TransitionConfig

LAYOUT = ("NHWC", "HWIO", "NHWC")


def images(*shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=shape))


def norm(x, part):
    factor = part.scale[...] / jnp.sqrt(part.variance[...] + part.epsilon)
    with jax.numpy_rank_promotion("allow"):
        return (x - part.mean[...]) * factor + part.bias[...]


def convolve(x, kernel, stride, padding):
    strides = (stride, stride)
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=LAYOUT)


@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_strided_layer_equals_lax(size):
    shortcut = {"kind": "conv", "kernel_size": 3, "stride": 2, "bias": False}  # padding: same
    config = TransitionConfig.model_validate(
        {
            "field": {"kind": "residual", "arrangement": "original"},
            "shortcut": shortcut,
            "stride": 2,
            "padding": "same",
        }
    )
    projection = drawn(config.build((*size, 2), 3, rngs=nnx.Rngs(0)))
    unit = projection.operation.unit
    x = images(4, *size, 2)
    (first, second), norms = unit.branch.weights, unit.branch.norms
    y = jax.nn.relu(norm(convolve(x, first.kernel[...], 2, "SAME"), norms[0]))
    y = norm(convolve(y, second.kernel[...], 1, "SAME"), norms[1])
    around = convolve(x, unit.shortcut.projection.operation.kernel[...], 2, "SAME")
    expected = jax.nn.relu(around + y)
    np.testing.assert_allclose(projection(x), expected, rtol=1e-12, atol=1e-12)
    other = TransitionConfig.model_validate(config.model_dump() | {"padding": "symmetric"})
    symmetric = drawn(other.build((*size, 2), 3, rngs=nnx.Rngs(0)))(x)
    # Of an odd side the two paddings are one.
    assert (np.abs(symmetric - expected).max() < 1e-12) == all(side % 2 for side in size)


@pytest.mark.parametrize(
    ("options", "padding"),
    [({}, ((3, 3), (3, 3))), ({"stem_padding": "same"}, "SAME")],
)
def test_first_layer_and_maximum_equal_those_of_flax(options, padding):
    chosen = {"padding": "same", "stem_padding": "symmetric"} | options
    config = ResNetConfig.model_validate({"layout": "imagenet", "depth": 18, "width": 2} | chosen)
    stem = drawn(config.expanded().stem.build((18, 16, 3), 2, rngs=nnx.Rngs(0)))
    theirs = nnx.Conv(
        3, 2, (7, 7), (2, 2), padding=padding, use_bias=False, param_dtype=float, rngs=nnx.Rngs(0)
    )
    theirs.kernel[...] = stem.operation.affine.kernel[...]
    x = images(2, 18, 16, 3)
    y = jax.nn.relu(norm(theirs(x), stem.operation.norm))
    expected = nnx.max_pool(y, (3, 3), (2, 2), "SAME")
    assert expected.shape[1:] == stem.shape
    np.testing.assert_allclose(stem(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shortcut", ["zero_pad", "projection"])
@pytest.mark.parametrize("options", [{}, {"unit": "bottleneck", "strided_weight": 2}])
def test_padding_reaches_every_strided_convolution_of_a_network(options, shortcut):
    depth = 20 if "unit" in options else 14
    values = {"depth": depth, "shortcut": shortcut, "padding": "same"} | options
    config = ResNetConfig.model_validate(values).expanded()
    for stage in config.stages[1:]:
        assert stage.projection.padding == "same"
        change = stage.projection.shortcut
        assert not isinstance(change, ConvConfig) or change.kernel_size == 1  # sees no padding
    published = ResNetConfig.model_validate(values | {"padding": "symmetric"}).expanded()
    assert {stage.projection.padding for stage in published.stages[1:]} == {"symmetric"}


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        (TransitionConfig, {"padding": "same"}, "stride=1 would ignore padding"),
        (ConvConfig, {"pool_padding": "same"}, "max_pool=false would ignore pool_padding"),
        (ResNetConfig, {"layout": "vector", "padding": "same"}, "has no images"),
        (ResNetConfig, {"stem_padding": "same"}, "needs the stride of layout=imagenet"),
    ],
)
def test_padding_that_would_be_ignored_is_refused(model, values, message):
    with pytest.raises(ValidationError, match=message):
        model.model_validate(values)
