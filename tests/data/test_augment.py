import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.data.augment import AugmentConfig, normalize, pad_crop_flip
from odenet.data.dataset import Normalization


def every_crop(image, padding, flip):
    """Windows of one image by (row, column, mirrored), written out."""
    height, width, channels = image.shape
    padded = np.zeros((height + 2 * padding, width + 2 * padding, channels), np.uint8)
    padded[padding : padding + height, padding : padding + width] = image
    crops = {}
    for row in range(2 * padding + 1):
        for column in range(2 * padding + 1):
            window = padded[row : row + height, column : column + width]
            crops[window.tobytes()] = (row, column, False)
            if flip:
                crops[np.fliplr(window).tobytes()] = (row, column, True)
    return crops


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize(("padding", "batch"), [(0, 64), (2, 600)])
def test_pad_crop_flip_gives_all_possible_windows_and_no_other(padding, batch, flip):
    image = np.random.default_rng(0).integers(1, 256, (6, 5, 3)).astype(np.uint8)
    crops = every_crop(image, padding, flip)
    assert len(crops) == (2 * padding + 1) ** 2 * (1 + flip)
    images = jnp.asarray(np.repeat(image[None], batch, axis=0))
    augment = jax.jit(pad_crop_flip, static_argnums=(2, 3))
    out = np.asarray(augment(jax.random.key(0), images, padding, flip))
    assert out.dtype == np.uint8
    assert {crops[window.tobytes()] for window in out} == set(crops.values())


def test_augmentation_of_config_depends_on_the_key():
    augment = AugmentConfig(padding=1).build()
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (8, 4, 4, 1)).astype(np.uint8))
    first, again, other = (np.asarray(augment(jax.random.key(k), images)) for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_normalize_scales_pixels_and_leaves_vectors_their_scale():
    mean, std = np.array([0.5, 0.25], np.float32), np.array([0.5, 2.0], np.float32)
    images = jnp.asarray(np.array([[[[0, 255]], [[255, 0]]]], np.uint8))
    out = jax.jit(normalize)(images, Normalization(mean, std))
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out[0, :, 0], [[-1.0, 0.375], [1.0, -0.125]], rtol=1e-6)
    vectors = np.array([[255.0, 0.25], [0.5, 4.25]], np.float32)
    np.testing.assert_allclose(
        normalize(vectors, Normalization(mean, std)), [[509.0, 0.0], [0.0, 2.0]], rtol=1e-6
    )


def test_normalize_takes_stacked_batches():
    images = np.zeros((3, 2, 4, 4, 1), np.uint8)
    norm = Normalization(np.ones(1, np.float32), np.full(1, 2.0, np.float32))
    np.testing.assert_array_equal(normalize(images, norm), np.full(images.shape, -0.5))
