"""Images in an .npz file in the shapes, layouts and ranges in which they occur."""

import numpy as np
import pytest
from own_arrays import IMAGES, VECTORS, each_input

from odenet.data.augment import normalize
from odenet.data.dataset import measure_normalization
from odenet.errors import ConfigError

PIXELS = IMAGES["test_inputs"]
SAME = {
    "grey": (lambda x: x[..., 0], {}, PIXELS[..., :1]),
    "flat": (lambda x: x.reshape(len(x), -1), {"shape": [4, 5, 3]}, PIXELS),
    "flat grey": (lambda x: x[..., 0].reshape(len(x), -1), {"shape": [4, 5]}, PIXELS[..., :1]),
    "whole numbers": (lambda x: x.astype(np.int64), {}, PIXELS),
    "channels first": (lambda x: x.transpose(0, 3, 1, 2), {"layout": "channels_first"}, PIXELS),
    "flat channels first": (
        lambda x: x.transpose(0, 3, 1, 2).reshape(len(x), -1),
        {"shape": [3, 4, 5], "layout": "channels_first"},
        PIXELS,
    ),
    "from 0 to 1": (lambda x: (x / 255).astype(np.float32), {}, np.float32(PIXELS / 255)),
    "16 bits": (lambda x: x.astype(np.uint16) * 257, {}, np.float32(PIXELS / 255)),
    "as told": (
        lambda x: x.transpose(0, 3, 1, 2),
        {"layout": "channels_last"},
        PIXELS.transpose(0, 3, 1, 2),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_images_as_people_have_them_are_the_same_images(built, name):
    change, options, expected = SAME[name]
    data = built(each_input(change), validation=8, **options)
    assert data.test.inputs.dtype == expected.dtype
    np.testing.assert_allclose(data.test.inputs, expected, rtol=1e-6)
    normalised = normalize(data.test.inputs, data.normalization)
    pixels = normalize(expected, measure_normalization(data.train.inputs))
    np.testing.assert_allclose(normalised, pixels, atol=1e-5)


def test_floats_from_0_to_1_are_normalised_as_the_bytes_are(built):
    of_bytes = built(IMAGES, validation=8)
    of_floats = built(each_input(lambda x: x / 255), validation=8)
    np.testing.assert_allclose(
        normalize(of_floats.test.inputs, of_floats.normalization),
        normalize(of_bytes.test.inputs, of_bytes.normalization),
        atol=1e-5,
    )


FLAT = each_input(lambda x: x.reshape(len(x), -1))
SHAPES = {
    "other size": (FLAT, {"shape": [4, 5]}, "rows of 20 numbers; train_inputs .* 60"),
    "images already": (IMAGES, {"shape": [4, 5, 3]}, "rows of 60 numbers; train_inputs"),
    "layout of vectors": (VECTORS, {"layout": "channels_first"}, "are vectors, of shape"),
    "layout of grey": (
        each_input(lambda x: x[..., 0]),
        {"layout": "channels_last"},
        "layout would be ignored: .* grey",
    ),
    "layout of grey rows": (
        FLAT,
        {"shape": [6, 10], "layout": "channels_first"},
        "layout would be ignored: data.shape=",
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shape_and_layout_that_do_not_fit_are_refused(built, name):
    arrays, options, message = SHAPES[name]
    with pytest.raises(ConfigError, match=message):
        built(arrays, validation=8, **options)
